"""The loop that is the whole program: ask, evaluate, record, tell; and resume, which is the same loop replayed.

A run has one phase or several, each with a search of its own; the loop does not care which, but that a steady-state
search is told single outcomes as they arrive, where the others are told a round at a time.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from glo.errors import ReplayError
from glo.evaluation import Funnel
from glo.expr import Expr
from glo.records import Job, Outcome, Status
from glo.search import SteadyStateSearch
from glo.store import GenerationRecord, Store
from glo.study.config import RunConfig
from glo.study.judges import Judges
from glo.study.phases import Leg, legs

CHANGED = "the code or the configuration has changed: use the recorded version, or start a new run"
OnGeneration = Callable[[GenerationRecord, bool], None]
Records = Generator[tuple[GenerationRecord, bool], None, None]  # each with whether it was replayed


def run_loop(
    config: RunConfig,
    judges: Judges,
    store: Store,
    name: str,
    on_generation: OnGeneration = lambda record, replayed: None,
) -> list[GenerationRecord]:
    """Run all phases to their end, starting with what is recorded of them.

    Args:
        config: of the run.
        judges: judge the candidates.
        store, name: where it is recorded, under which name; the caller holds the run's lock.
        on_generation: called after each generation, or arrival, with its record and whether it was replayed.

    Returns:
        All generations; of a steady-state phase, all arrivals, each a generation of one.

    Raises:
        ReplayError: if a search asks for other expressions than are recorded.
    """
    recorded = store.generations(name)
    history: list[GenerationRecord] = []
    for leg in legs(config, judges.funnel(config.training).screen, history):
        funnel = judges.funnel(leg.training)
        if isinstance(leg.search, SteadyStateSearch):
            records = _arrivals(name, leg, leg.search, judges, recorded, history)
        else:
            records = _rounds(name, leg, funnel, store, recorded, history)
        with closing(records):
            for record, replayed in records:
                if not replayed:
                    store.record(name, record, funnel.cached.take_new())
                history.append(record)
                on_generation(record, replayed)
    return history


def _rounds(
    name: str,
    leg: Leg,
    funnel: Funnel,
    store: Store,
    recorded: Sequence[GenerationRecord],
    history: Sequence[GenerationRecord],
) -> Records:
    """A phase whose search is asked for many at once; it is told when a round is written down."""
    while not leg.search.done:
        asked = leg.search.ask()
        number = len(history)
        if replayed := number < len(recorded):
            record = recorded[number]
            _check_replay(name, record, asked)
            funnel.take_counts()  # of screening, which the record has already
        else:
            record = _judge(number, leg, asked, funnel, store)
        yield record, replayed
        leg.search.tell(record.outcomes)


def _judge(number: int, leg: Leg, asked: Sequence[Expr], funnel: Funnel, store: Store) -> GenerationRecord:
    """Every candidate with every seed of the phase, all in one batch; whoever is killed loses nothing that had ended."""

    def remember(_: Mapping[int, Outcome]) -> None:
        if new := funnel.cached.take_new():
            store.remember(new)

    started = time.perf_counter()
    repeats = len(leg.seeds)
    judged = funnel.evaluate([Job(expression, seed) for expression in asked for seed in leg.seeds], remember)
    outcomes = [averaged(judged[start : start + repeats]) for start in range(0, len(judged), repeats)]
    seconds = time.perf_counter() - started
    return GenerationRecord(number, leg.phase, asked_digest(asked), outcomes, funnel.take_counts(), seconds)


def _arrivals(
    name: str,
    leg: Leg,
    search: SteadyStateSearch,
    judges: Judges,
    recorded: Sequence[GenerationRecord],
    history: Sequence[GenerationRecord],
) -> Records:
    """A phase whose search is told each outcome as it arrives, and is asked for one more candidate then.

    An arrival is written down as a generation of one, with the digest of what was asked since the one before.  So the
    record says in which order outcomes came, and what was asked before each: all that a replay needs.  What was under way
    when the run was killed is begun anew.
    """
    funnel = judges.funnel(leg.training)
    under_way: dict[int, Expr] = {}
    asked = 0
    while not search.done and len(history) < len(recorded):
        record = recorded[len(history)]
        for expression in _asked_again(name, record, search):
            under_way[asked] = expression
            asked += 1
        del under_way[_arrived(name, record, under_way)]
        funnel.take_counts()  # of screening, which the record has already
        yield record, True
        search.tell(record.outcomes)
    with closing(judges.stream(leg.training)) as stream:
        for number, expression in under_way.items():
            stream.submit(number, [Job(expression, seed) for seed in leg.seeds])
        started = time.perf_counter()
        while not search.done:
            new: list[Expr] = []
            while not search.exhausted and len(under_way) < stream.slots:
                (expression,) = search.ask()
                new.append(expression)
                under_way[asked] = expression
                stream.submit(asked, [Job(expression, seed) for seed in leg.seeds])
                asked += 1
            number, judged = stream.next()
            del under_way[number]
            now = time.perf_counter()
            digest, outcome = asked_digest(new), averaged(judged)
            record = GenerationRecord(len(history), leg.phase, digest, [outcome], funnel.take_counts(), now - started)
            started = now
            yield record, False
            search.tell(record.outcomes)


def _asked_again(name: str, record: GenerationRecord, search: SteadyStateSearch) -> list[Expr]:
    """What was asked between the arrival before and this one."""
    asked: list[Expr] = []
    while asked_digest(asked) != record.asked:
        if search.exhausted:
            raise _other_arrival(name, record)
        asked += search.ask()
    return asked


def _arrived(name: str, record: GenerationRecord, under_way: dict[int, Expr]) -> int:
    """Which candidate a recorded outcome is of; of two that are the same, the first."""
    (outcome,) = record.outcomes
    for number, expression in under_way.items():
        if str(expression) == outcome.expression:
            return number
    raise _other_arrival(name, record)


def _other_arrival(name: str, record: GenerationRecord) -> ReplayError:
    return ReplayError(
        f"run '{name}' cannot go on: by arrival {record.generation} other candidates had been asked for than are asked for "
        f"now (in the record, {record.outcomes[0].expression} arrives); {CHANGED}"
    )


def averaged(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for a candidate that was judged with several seeds.

    The fitness is the mean, the learning rate the one most often best (of equals the lowest).  A candidate that fails
    with any seed has failed: a failure is not averaged in.
    """
    failed = [outcome for outcome in outcomes if outcome.status is not Status.TRAINED]
    if failed or len(outcomes) == 1:
        return (failed or outcomes)[0]
    rates = Counter(sorted(outcome.learning_rate or 0.0 for outcome in outcomes))
    fitness = sum(outcome.fitness for outcome in outcomes) / len(outcomes)
    return replace(outcomes[0], fitness=fitness, learning_rate=rates.most_common(1)[0][0])


def asked_digest(asked: Sequence[Expr]) -> str:
    """A short hash of what a generation asks for."""
    return hashlib.blake2b("\n".join(map(str, asked)).encode(), digest_size=8).hexdigest()


def _check_replay(name: str, record: GenerationRecord, asked: Sequence[Expr]) -> None:
    if record.asked == asked_digest(asked):
        return
    there = [outcome.expression for outcome in record.outcomes]
    here = [str(expression) for expression in asked]
    first = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), min(len(there), len(here)))
    shown = [texts[first] if first < len(texts) else "nothing" for texts in (there, here)]
    raise ReplayError(
        f"run '{name}' cannot go on: in generation {record.generation}, candidate {first} is {shown[0]} in the record and "
        f"{shown[1]} now; {CHANGED}"
    )
