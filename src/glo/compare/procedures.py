"""Procedures: generators that request trainings and receive the results; several share one executor in one thread.

Example:
    def best_of_two(task, config, trainings):
        results = yield Request("comparing two", Batch(task, config, trainings, seeds=[0, 0]))
        return max(results, key=lambda result: result.validation)

    best, other = run_all(executor, [best_of_two(...), best_of_two(...)])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from glo.execution import Batch, Executor, Key, in_order
from glo.progress import OnProgress
from glo.records import Result

Value = TypeVar("Value")


@dataclass(frozen=True)
class Request:
    """A batch of trainings, with a label for progress such as "choosing learning rates"."""

    label: str
    batch: Batch


Procedure = Generator[Request, list[Result], Value]  # yields requests, is sent the results of each, returns a value


def run_all(
    executor: Executor,
    procedures: Sequence[Procedure[Value]],
    on_progress: OnProgress = lambda label, done, total: None,
) -> list[Value]:
    """Run procedures side by side: each resumes as soon as all results of its request are there.

    If one of them fails, the executor is closed, and the error is raised at once.

    Args:
        executor: with nothing under way.
        on_progress: called with a label, how many trainings under it have ended, and how many have been submitted so far;
            all procedures are counted together.

    Returns:
        The value that each procedure returned, in their order.
    """
    running: dict[Key, Procedure[Value]] = dict(enumerate(procedures))
    values: dict[Key, Value] = {}
    pending: dict[Key, Request] = {}
    results: dict[Key, dict[int, Result]] = {}
    done, total = Counter[str](), Counter[str]()

    def advance(key: Key) -> None:
        """Start a procedure, or send it its results; then submit its next request."""
        try:
            request = running[key].send(in_order(results[key])) if key in results else next(running[key])
        except StopIteration as end:
            values[key] = end.value
            return
        pending[key], results[key] = request, {}
        total[request.label] += len(request.batch)
        executor.submit(key, request.batch)

    try:
        for key in running:
            advance(key)
        while pending:
            key, arrived = executor.next()
            results[key] |= arrived
            label = pending[key].label
            done[label] += len(arrived)
            on_progress(label, done[label], total[label])
            if len(results[key]) == len(pending[key].batch):
                del pending[key]
                advance(key)
    except BaseException:
        executor.close()
        raise
    return [values[key] for key in running]
