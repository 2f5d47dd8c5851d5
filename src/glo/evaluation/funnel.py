"""The funnel: checks in front of a cache in front of the trainings, each stage counted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from glo.evaluation.cache import REUSABLE, Cache, MemoryCache
from glo.evaluation.checks import Check, finite_derivative, marker, points_of, structure_for
from glo.evaluation.descent import DescentProbe
from glo.evaluation.properties import constraints_of
from glo.evaluation.protocol import Key
from glo.evaluation.training import TrainingEvaluator
from glo.execution import Executor, result_key
from glo.expr import Expr
from glo.records import FunnelConfig, FunnelCounts, Job, Outcome, Stage, StageCount, Status, TrainingConfig, new_counts
from glo.tasks import Objective, Problem

Entry = tuple[str, str]  # of the cache: context and fingerprint


class Funnel:
    """Evaluates jobs: structure, constraints, cache, derivative, descent, then training, whichever stage decides first.

    Losses with the same fingerprint are trained once, also while they are under way at the same time.  An outcome is
    remembered as soon as it is known.

    Args:
        task: what to train on.
        training: how; part of the context under which outcomes are remembered.
        config: which optional checks are on.
        executor: where networks are trained.
        cache: knows outcomes of other studies.
        counts: where to count; several funnels of one study may share it.
        max_failures: of an objective, how many trials in a row may fail.
    """

    def __init__(
        self,
        task: Problem,
        training: TrainingConfig,
        config: FunnelConfig,
        executor: Executor,
        cache: Cache | None = None,
        counts: FunnelCounts | None = None,
        max_failures: int | None = None,
    ) -> None:
        self.counts = new_counts() if counts is None else counts
        self.points, self._fingerprint = points_of(task, training), marker(task, training)
        self._cache = MemoryCache() if cache is None else cache
        self._first, self._checks = stages_of(task, training, config)
        self._evaluator = TrainingEvaluator(task, training, executor, self.counts, max_failures)
        self._task, self._training, self._config, self._device = task, training, config, executor.device
        # Whether a trial of an objective is given up depends on the trials before it.
        self._reusable = set(REUSABLE) - ({Status.STOPPED} if isinstance(task, Objective) else set())
        self._contexts: dict[tuple[int, float | None], str] = {}  # by seed, and learning rate if a job has one
        self._recorded: dict[str, Outcome] = {}  # by fingerprint, of a study whose trainings are given up at rungs
        self._ready: dict[Key, Outcome] = {}
        self._entries: dict[Key, Entry] = {}  # of the jobs that are checked or trained
        self._waiting: dict[Entry, dict[Key, Job]] = {}  # jobs that get the outcome of another one under way

    @property
    def slots(self) -> int:
        """How many candidates are worth having under way at once."""
        return self._evaluator.slots

    def submit(self, jobs: Mapping[Key, Job]) -> None:
        """Check jobs, and start to train those that pass and are not known; see `Evaluator.submit`."""
        for stage, check in self._first:
            jobs = self._checked(stage, check, jobs)
        jobs = self._unknown(jobs)
        for stage, check in self._checks:
            jobs = self._checked(stage, check, jobs)
        self._evaluator.submit(jobs)

    def next(self) -> dict[Key, Outcome]:
        """Wait for outcomes; see `Evaluator.next`."""
        if not self._ready:
            self._settle(self._evaluator.next())
        ready, self._ready = self._ready, {}
        return ready

    def close(self) -> None:
        """Give up what is under way."""
        self._ready, self._entries, self._waiting = {}, {}, {}
        self._evaluator.close()

    def screen(self, expressions: Sequence[Expr]) -> list[str | None]:
        """For each expression its fingerprint if it passes all checks, else None; nothing is trained."""
        passing = list(expressions)
        for stage, check in (*self._first, *self._checks):
            reasons = self._counted(stage, check, passing)
            passing = [expression for expression, reason in zip(passing, reasons, strict=True) if reason is None]
        passed = set(passing)
        return [self._fingerprint(e) if e in passed else None for e in expressions]

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of recorded outcomes; see `TrainingEvaluator.learn`."""
        self._evaluator.learn(outcomes)
        if self._training.rungs:
            self._contexts.clear()
            for outcome in outcomes:
                if outcome.status in self._reusable:
                    self._recorded.setdefault(outcome.fingerprint, outcome)

    def take_counts(self) -> FunnelCounts:
        """The counts since the last call."""
        taken = {stage: replace(count) for stage, count in self.counts.items()}
        for count in self.counts.values():
            count.candidates, count.rejected, count.seconds = 0, 0, 0.0
        return taken

    def _checked(self, stage: Stage, check: Check, jobs: Mapping[Key, Job]) -> dict[Key, Job]:
        """The jobs that pass a check; the others are rejected."""
        reasons = dict(zip(jobs, self._counted(stage, check, [job.expression for job in jobs.values()]), strict=True))
        rejected = {
            key: Outcome(str(jobs[key].expression), self._mark(jobs[key]), Status.REJECTED, stage, reason)
            for key, reason in reasons.items()
            if reason is not None
        }
        self._settle(rejected)
        return {key: job for key, job in jobs.items() if key not in rejected}

    def _counted(self, stage: Stage, check: Check, expressions: Sequence[Expr]) -> list[str | None]:
        started = time.perf_counter()
        reasons = check(expressions)
        rejected = sum(reason is not None for reason in reasons)
        self.counts[stage].add(StageCount(len(reasons), rejected, time.perf_counter() - started))
        return reasons

    def _unknown(self, jobs: Mapping[Key, Job]) -> dict[Key, Job]:
        """The jobs to go on with: the first of each loss that is neither known nor under way."""
        started = time.perf_counter()
        entries = {key: (self._context(job.seed, job.learning_rate), self._mark(job)) for key, job in jobs.items()}
        known = self._lookup(list(entries.values()))
        new: dict[Key, Job] = {}
        for key, entry in entries.items():
            if (outcome := self._recorded.get(entry[1]) or known.get(entry)) is not None:
                self._ready[key] = _renamed(outcome, jobs[key])
            elif entry in self._waiting:
                self._waiting[entry][key] = jobs[key]
            else:
                self._entries[key], self._waiting[entry], new[key] = entry, {}, jobs[key]
        self.counts[Stage.CACHE].add(StageCount(len(jobs), len(jobs) - len(new), time.perf_counter() - started))
        return new

    def _lookup(self, entries: Sequence[Entry]) -> dict[Entry, Outcome]:
        known: dict[Entry, Outcome] = {}
        for context in dict.fromkeys(context for context, _ in entries):
            found = self._cache.lookup(context, [mark for other, mark in entries if other == context])
            known |= {(context, mark): outcome for mark, outcome in found.items()}
        return known

    def _settle(self, outcomes: Mapping[Key, Outcome]) -> None:
        """Outcomes are ready: for their own jobs and for those that waited for them; and they are remembered."""
        learned: dict[str, dict[str, Outcome]] = {}
        for key, outcome in outcomes.items():
            self._ready[key] = outcome
            if (entry := self._entries.pop(key, None)) is None:
                continue  # rejected before the cache
            self._ready |= {other: _renamed(outcome, job) for other, job in self._waiting.pop(entry).items()}
            if outcome.status in self._reusable:
                learned.setdefault(entry[0], {})[entry[1]] = outcome
        if learned:
            self._cache.remember(learned)

    def _mark(self, job: Job) -> str:
        return self._fingerprint(job.expression)

    def _context(self, seed: int, rate: float | None) -> str:
        if (seed, rate) not in self._contexts:
            checks = self._config.model_dump(mode="json", exclude={"constraints"})  # they are checked before the cache
            training = self._training if rate is None else self._training.model_copy(update={"learning_rates": (rate,)})
            more = {"standing": self._evaluator.standing} if training.rungs else {}
            self._contexts[seed, rate] = result_key(self._task, training, seed, self._device, funnel=checks, **more)
        return self._contexts[seed, rate]


def stages_of(
    task: Problem, training: TrainingConfig, config: FunnelConfig
) -> tuple[list[tuple[Stage, Check]], list[tuple[Stage, Check]]]:
    """The checks before the cache and those after it, in order."""
    before: list[tuple[Stage, Check]] = [(Stage.STRUCTURE, structure_for(task))]
    if config.constraints:
        before.append((Stage.CONSTRAINT, constraints_of(task, config.constraints)))
    after: list[tuple[Stage, Check]] = []
    if config.derivative:
        after.append((Stage.DERIVATIVE, finite_derivative(points_of(task, training))))
    if config.descent:
        after.append((Stage.DESCENT, DescentProbe(task.link, task.classes, training)))
    return before, after


def _renamed(known: Outcome, job: Job) -> Outcome:
    """A known outcome under the text that was asked for now."""
    return replace(known, expression=str(job.expression))
