"""The funnel: the cheap checks before a training, cheapest first, each stage counted.

Each stage is an evaluator that wraps the next: structure(cached(derivative(descent(training)))).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from glo.evaluation.checks import Check, DescentProbe, finite_derivative, probe_points, structure
from glo.evaluation.evaluator import Evaluator, Judging, OnOutcomes, Wrapping, elsewhere, judging, unheard
from glo.expr import Expr, ProbePoints, fingerprint
from glo.records import (
    Config,
    FunnelCounts,
    Job,
    Outcome,
    Stage,
    StageCount,
    Status,
    TrainingConfig,
    digest,
    new_counts,
)
from glo.tasks import Task

# lookup(context, fingerprints) -> the outcomes that are known
Lookup = Callable[[str, Sequence[str]], dict[str, Outcome]]


class FunnelConfig(Config):
    """Which cheap stages are on; the paper has neither.

    Attributes:
        derivative: reject a loss whose derivative is NaN, infinite, or zero everywhere.
        descent: reject a loss whose minimisation does not make free outputs right.
    """

    derivative: bool = False
    descent: bool = False


def no_lookup(context: str, fingerprints: Sequence[str]) -> dict[str, Outcome]:
    """The lookup of an empty store."""
    return {}


class Funnel(Wrapping):
    """All stages in front of an evaluator that trains.

    Args:
        task: what is trained on.
        training: how; part of the key under which outcomes are remembered.
        config: which stages are on.
        train: makes the evaluator behind the stages from the counters to use.
        lookup: outcomes of earlier runs.
        counts: where to count; several funnels of one run may share it.
    """

    def __init__(
        self,
        task: Task,
        training: TrainingConfig,
        config: FunnelConfig,
        train: Callable[[FunnelCounts], Evaluator],
        lookup: Lookup = no_lookup,
        counts: FunnelCounts | None = None,
    ) -> None:
        self.counts = new_counts() if counts is None else counts
        self.points = probe_points(task.link, task.soft)  # pyright: ignore[reportArgumentType]
        checks: list[tuple[Stage, Check]] = []
        if config.derivative:
            checks.append((Stage.DERIVATIVE, finite_derivative(self.points)))
        if config.descent:
            checks.append((Stage.DESCENT, DescentProbe(task.link, task.classes, training)))  # pyright: ignore[reportArgumentType]
        evaluator = train(self.counts)
        for stage, check in reversed(checks):
            evaluator = Screened(stage, check, evaluator, self.points, self.counts[stage])
        context = digest(
            [task.digest(), training.model_dump(mode="json", exclude={"memory_mb"}), config.model_dump(mode="json")]
        )
        self.cached = Cached(context, lookup, evaluator, self.points, self.counts[Stage.CACHE])
        self._evaluator = Screened(Stage.STRUCTURE, structure, self.cached, self.points, self.counts[Stage.STRUCTURE])
        self._checks = [(Stage.STRUCTURE, structure), *checks]

    def judging(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> Judging:
        """`evaluate` that stops where the evaluator behind the stages is to begin."""
        return self._evaluator.judging(jobs, on_outcomes)

    def screen(self, expressions: Sequence[Expr]) -> list[str | None]:
        """For each expression its fingerprint, if it passes the cheap stages, else None; nothing is trained."""
        passing = list(expressions)
        for stage, check in self._checks:
            reasons = counted(self.counts[stage], check, passing)
            passing = [expression for expression, reason in zip(passing, reasons, strict=True) if reason is None]
        passed = set(passing)
        return [fingerprint(e, self.points) if e in passed else None for e in expressions]

    def take_counts(self) -> FunnelCounts:
        """What was counted since the last call."""
        taken = {stage: StageCount(c.candidates, c.rejected, c.seconds) for stage, c in self.counts.items()}
        for count in self.counts.values():
            count.candidates, count.rejected, count.seconds = 0, 0, 0.0
        return taken


class Screened(Wrapping):
    """A stage that rejects some candidates and hands the others on."""

    def __init__(self, stage: Stage, check: Check, inner: Evaluator, points: ProbePoints, count: StageCount) -> None:
        self._stage, self._check, self._inner = stage, check, inner
        self._points, self._count = points, count

    def judging(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> Judging:
        reasons = counted(self._count, self._check, [job.expression for job in jobs])
        known = {i: self._rejected(jobs[i].expression, reason) for i, reason in enumerate(reasons) if reason is not None}
        if known:
            on_outcomes(known)
        passed = [i for i, reason in enumerate(reasons) if reason is None]
        judged = yield from judging(self._inner, [jobs[i] for i in passed], elsewhere(on_outcomes, passed))
        known |= dict(zip(passed, judged, strict=True))
        return [known[i] for i in range(len(jobs))]

    def _rejected(self, expression: Expr, reason: str) -> Outcome:
        mark = fingerprint(expression, self._points)
        return Outcome(str(expression), mark, Status.REJECTED, self._stage, reason)


def counted(count: StageCount, check: Check, expressions: Sequence[Expr]) -> list[str | None]:
    """Run a check and count what it did."""
    started = time.perf_counter()
    reasons = check(expressions)
    count.add(StageCount(len(reasons), sum(r is not None for r in reasons), time.perf_counter() - started))
    return reasons


# Outcomes of the expression itself, not of the circumstances: these may be used again.
REUSABLE = (Status.TRAINED, Status.REJECTED, Status.STOPPED, Status.DIVERGED)
Key = tuple[str, str]  # context and fingerprint


class Cached(Wrapping):
    """A loss with a fingerprint that is known gets the known outcome, a reject too; a new one is judged once.

    What is new is in `new` when the listeners hear of it, until it is taken; as (context, seed) -> fingerprint -> outcome.
    """

    def __init__(
        self,
        context: str,
        lookup: Lookup,
        inner: Evaluator,
        points: ProbePoints,
        count: StageCount,
    ) -> None:
        self._context, self._lookup, self._inner = context, lookup, inner
        self._points, self._count = points, count
        self.new: dict[str, dict[str, Outcome]] = {}

    def judging(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> Judging:
        started = time.perf_counter()
        keys = [(f"{self._context}-{job.seed}", fingerprint(job.expression, self._points)) for job in jobs]
        known: dict[Key, Outcome] = {}
        for context in dict.fromkeys(context for context, _ in keys):
            marks = [mark for other, mark in keys if other == context]
            found = self._lookup(context, marks) | self.new.get(context, {})
            known |= {(context, mark): found[mark] for mark in marks if mark in found}
        unknown: dict[Key, list[int]] = {}  # the positions of each; the first of them is judged
        for position, key in enumerate(keys):
            if key not in known:
                unknown.setdefault(key, []).append(position)
        self._count.add(StageCount(len(jobs), len(jobs) - len(unknown), time.perf_counter() - started))
        if known:
            on_outcomes({i: _as_asked(known[key], jobs[i]) for i, key in enumerate(keys) if key in known})
        asked = list(unknown)

        def judged(outcomes: Mapping[int, Outcome]) -> None:
            new = {asked[number]: outcome for number, outcome in outcomes.items()}
            self._learn(new)
            on_outcomes({i: _as_asked(outcome, jobs[i]) for key, outcome in new.items() for i in unknown[key]})

        firsts = [jobs[positions[0]] for positions in unknown.values()]
        known |= dict(zip(asked, (yield from judging(self._inner, firsts, judged)), strict=True))
        return [_as_asked(known[key], job) for key, job in zip(keys, jobs, strict=True)]

    def _learn(self, outcomes: Mapping[Key, Outcome]) -> None:
        for (context, mark), outcome in outcomes.items():
            if outcome.status in REUSABLE:
                self.new.setdefault(context, {})[mark] = outcome

    def take_new(self) -> dict[str, dict[str, Outcome]]:
        """What was judged since the last call, by context and fingerprint."""
        taken, self.new = self.new, {}
        return taken


def _as_asked(known: Outcome, job: Job) -> Outcome:
    """A known outcome under the text that was asked now."""
    return Outcome(
        str(job.expression),
        known.fingerprint,
        known.status,
        known.stage,
        known.reason,
        known.fitness,
        known.learning_rate,
    )
