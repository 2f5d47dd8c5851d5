"""The loop that is the whole program: ask, evaluate, record, tell; and resume, which is the same loop replayed.

A run has one phase or several, each with a search of its own; the loop does not care which.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from glo.errors import ReplayError
from glo.evaluation import Funnel
from glo.expr import Expr
from glo.records import Job, Outcome, Status, TrainingConfig
from glo.run.config import RunConfig
from glo.run.phases import Leg, legs
from glo.store import GenerationRecord, Store

OnGeneration = Callable[[GenerationRecord, bool], None]


def run_loop(
    config: RunConfig,
    funnel_for: Callable[[TrainingConfig], Funnel],
    store: Store,
    name: str,
    on_generation: OnGeneration = lambda record, replayed: None,
) -> list[GenerationRecord]:
    """Run all phases to their end, starting with what is recorded of them.

    Args:
        config: of the run.
        funnel_for: makes what judges, for a way of training; asked twice for the same, it gives the same.
        store, name: where it is recorded, under which name; the caller holds the run's lock.
        on_generation: called after each generation with its record and whether it was replayed.

    Raises:
        ReplayError: if a search asks for other expressions than are recorded.
    """
    recorded = store.generations(name)
    history: list[GenerationRecord] = []
    for leg in legs(config, funnel_for(config.training).screen, history):
        funnel = funnel_for(leg.training)
        while not leg.search.done:
            asked = leg.search.ask()
            number = len(history)
            if replayed := number < len(recorded):
                record = recorded[number]
                _check_replay(name, record, asked)
                funnel.take_counts()  # of screening, which the record has already
            else:
                record = _judge(number, leg, asked, funnel)
                store.record(name, record, funnel.cached.take_new())
            leg.search.tell(record.outcomes)
            history.append(record)
            on_generation(record, replayed)
    return history


def _judge(number: int, leg: Leg, asked: Sequence[Expr], funnel: Funnel) -> GenerationRecord:
    """Every candidate with every seed of the phase, all in one batch."""
    started = time.perf_counter()
    repeats = len(leg.seeds)
    judged = funnel.evaluate([Job(expression, seed) for expression in asked for seed in leg.seeds])
    outcomes = [averaged(judged[start : start + repeats]) for start in range(0, len(judged), repeats)]
    seconds = time.perf_counter() - started
    return GenerationRecord(number, leg.phase, asked_digest(asked), outcomes, funnel.take_counts(), seconds)


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
        f"{shown[1]} now; the code or the configuration has changed: use the recorded version, or start a new run"
    )
