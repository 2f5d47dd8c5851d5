"""The loop that is the whole program: ask, evaluate, record, tell; and resume, which is the same loop replayed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

from glo.errors import ReplayError
from glo.evaluation import Funnel
from glo.expr import Expr
from glo.records import Job
from glo.search import Search
from glo.store import GenerationRecord, Store

OnGeneration = Callable[[GenerationRecord, bool], None]


def run_loop(
    search: Search,
    funnel: Funnel,
    store: Store,
    name: str,
    seed: int,
    on_generation: OnGeneration = lambda record, replayed: None,
) -> list[GenerationRecord]:
    """Run a search to its end, starting with what is recorded of it.

    Args:
        search: what asks.
        funnel: what judges.
        store, name: where it is recorded, under which name; the caller holds the run's lock.
        seed: of the trainings, the same for all candidates.
        on_generation: called after each generation with its record and whether it was replayed.

    Raises:
        ReplayError: if the search asks for other expressions than are recorded.
    """
    recorded = store.generations(name)
    history: list[GenerationRecord] = []
    while not search.done:
        asked = search.ask()
        number, mark = len(history), asked_digest(asked)
        replayed = number < len(recorded)
        if replayed:
            record = recorded[number]
            _check_replay(name, record, asked, mark)
            funnel.take_counts()  # of screening, which the record has already
        else:
            started = time.perf_counter()
            outcomes = funnel.evaluate([Job(expression, seed) for expression in asked])
            record = GenerationRecord(number, mark, outcomes, funnel.take_counts(), time.perf_counter() - started)
            store.record(name, record, funnel.cached.take_new())
        search.tell(record.outcomes)
        history.append(record)
        on_generation(record, replayed)
    return history


def asked_digest(asked: Sequence[Expr]) -> str:
    """A short hash of what a generation asks for."""
    return hashlib.blake2b("\n".join(map(str, asked)).encode(), digest_size=8).hexdigest()


def _check_replay(name: str, record: GenerationRecord, asked: Sequence[Expr], mark: str) -> None:
    if record.asked == mark:
        return
    there = [outcome.expression for outcome in record.outcomes]
    here = [str(expression) for expression in asked]
    first = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), min(len(there), len(here)))
    shown = [texts[first] if first < len(texts) else "nothing" for texts in (there, here)]
    raise ReplayError(
        f"run '{name}' cannot go on: in generation {record.generation}, candidate {first} is {shown[0]} in the record and "
        f"{shown[1]} now; the code or the configuration has changed: use the recorded version, or start a new run"
    )
