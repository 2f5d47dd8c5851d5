"""The loop that is the whole program: ask, evaluate, record, tell.  To resume is the same loop with recorded outcomes.

A study has one phase or several, each with a search of its own.  A generational search is told a whole generation at a
time; a steady-state search is told single outcomes as they arrive.

A timeout may end the genetic phase before its search is done; its confirmation follows.  The record shows that: it has the
confirmation where the search would ask for more.  A study that goes on after that searches on, and confirms again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from glo.errors import LostStoreError, ReplayError
from glo.evaluation import Funnel, SeedAverage, fair_early_stop
from glo.execution import Executor, is_population
from glo.expr import Expr, parse
from glo.records import Origin, Outcome, PhaseKind, Status, TrainingConfig, new_counts
from glo.search import KnowsOrigins, Search, SteadyStateSearch
from glo.store import GenerationRecord, Store
from glo.study.arrivals import Arrivals
from glo.study.budget import Budget
from glo.study.config import StudyConfig
from glo.study.history import CHANGED, asked_digest
from glo.study.pace import Engine
from glo.study.phases import Phase, phases
from glo.tasks import Problem

Records = Generator[GenerationRecord, None, None]


@dataclass(frozen=True)
class Listener:
    """The hooks that the loop calls; `glo.study.study.Study` forwards them to its callbacks.

    Attributes:
        on_replay: with a generation that was recorded before.
        on_outcome: with each new outcome.
        on_generation: with each new generation, when it is recorded.
        stopped: whether the study is to end after this generation or arrival.
    """

    on_replay: Callable[[GenerationRecord], None] = lambda record: None
    on_outcome: Callable[[Outcome], None] = lambda outcome: None
    on_generation: Callable[[GenerationRecord], None] = lambda record: None
    stopped: Callable[[], bool] = lambda: False


@dataclass
class Loop:
    """One study while it runs.

    Attributes:
        name: of the study; the caller holds its lock.
        config: of the study.
        task: the loaded task, or an objective.
        store: where the study is recorded; also the cache of known outcomes.
        executor: where networks are trained.
        slots: of a steady-state search, how many candidates are under way at once; None for as many as keep the executor
            busy.
        listener: is told of outcomes and generations.
        own: the user's search, if a phase has one.
        max_failures: of an objective, how many trials in a row may fail.
        budget: of the time that `run` may take.
        history: all generations so far; of a steady-state phase all arrivals, each a generation of one.
    """

    name: str
    config: StudyConfig
    task: Problem
    store: Store
    executor: Executor
    slots: int | None = None
    listener: Listener = field(default_factory=Listener)
    own: Search | None = None
    max_failures: int | None = None
    budget: Budget = field(default_factory=Budget)
    history: list[GenerationRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._recorded = self.store.generations(self.name)
        self._counts = new_counts()
        self._funnels: dict[str, Funnel] = {}
        self._arriving: Arrivals | None = None

    def run(self) -> list[GenerationRecord]:
        """Run all phases to their end, or until the listener or time stops them, starting with the recorded generations.

        Returns:
            The history.

        Raises:
            ReplayError: if a search asks for other expressions than are recorded, or ends before the record does.
            StudyError: if one training after the other fails in the same way.
        """
        self.budget.begin(self._engine)
        training = fair_early_stop(self.task, self.config.training, self.config.seed, self.executor)
        self.config = self.config.model_copy(update={"training": training})
        screen = self.funnel(self.config.training).screen
        for phase in phases(self.config, screen, self.history, self.own):
            if self.budget.spent and phase.kind is not PhaseKind.CONFIRMATION:
                return self.history
            records = self._arrivals if isinstance(phase.search, SteadyStateSearch) else self._generations
            with closing(records(phase)) as generations:
                for record in generations:
                    self.keep(record, phase)
                    if self.listener.stopped():
                        return self.history
            if not phase.search.done and phase.kind is not PhaseKind.GENETIC:  # time is up
                return self.history
        if self._replays:
            raise ReplayError(
                f"study '{self.name}' ends after {len(self.history)} generations, and its record has "
                f"{len(self._recorded)}: {CHANGED}"
            )
        return self.history

    def _engine(self) -> Engine:
        return Engine(self.executor.slots, is_population(self.task, self.executor.device, self.config.training))

    def keep(self, record: GenerationRecord, phase: Phase) -> None:
        """Add a generation to the history; a new one is recorded first."""
        replayed = self._replays
        if not replayed:
            self._record(record)
        self.history.append(record)
        (self.listener.on_replay if replayed else self.listener.on_generation)(record)
        self.funnel(phase.training).learn(record.outcomes)

    def _record(self, record: GenerationRecord) -> None:
        try:
            self.store.record(self.name, record)
        except LostStoreError:
            self.history.append(record)  # it is kept elsewhere
            raise

    @property
    def _replays(self) -> bool:
        """Whether the next generation is recorded already."""
        return len(self.history) < len(self._recorded)

    @property
    def time_left(self) -> float | None:
        """Expected seconds until the end of the phase that is under way, with its confirmation; None if nobody knows."""
        return self.budget.left(self.config, self.history)

    def _ends_here(self, phase: Phase) -> bool:
        """Whether the record says that time has ended the genetic phase now."""
        recorded = self._recorded[len(self.history)].phase
        return (
            phase.kind is PhaseKind.GENETIC
            and recorded is PhaseKind.CONFIRMATION
            and self.config.confirmation.candidates > 0
        )

    def funnel(self, training: TrainingConfig) -> Funnel:
        """The funnel of this study for a way of training; all of them count together."""
        key = training.model_dump_json()
        if key not in self._funnels:
            self._funnels[key] = Funnel(
                self.task, training, self.config.funnel, self.executor, self.store, self._counts, self.max_failures
            )
        return self._funnels[key]

    def _generations(self, phase: Phase) -> Records:
        """A phase whose search asks for a generation at a time, and is told when the generation is recorded."""
        funnel = self.funnel(phase.training)
        while not phase.search.done:
            if self._ends_here(phase) if self._replays else self.budget.is_up(phase, self.config, self.history):
                return
            started = self.budget.clock()
            asked = phase.search.ask()
            if self._replays:
                record = self._recorded[len(self.history)]
                self._check_phase(record, phase)
                self._check_generation(record, asked)
                funnel.take_counts()  # screening is counted in the record already
            elif (record := self._evaluated(phase, asked, funnel, started)) is None:
                return
            yield record
            phase.search.tell(self.as_merits(record.outcomes))

    def _evaluated(self, phase: Phase, asked: Sequence[Expr], funnel: Funnel, started: float) -> GenerationRecord | None:
        """A generation: all candidates are submitted at once, and drained; None if time ends it before."""
        outcomes: dict[int, Outcome] = {}
        with closing(SeedAverage(funnel, phase.seeds, phase.rates)) as evaluator:
            first = self._candidates
            evaluator.submit(dict(enumerate(asked, first)))
            while len(outcomes) < len(asked):
                for number, outcome in evaluator.next().items():
                    outcomes[number - first] = outcome
                    self.listener.on_outcome(outcome)
                if len(outcomes) < len(asked) and self.budget.breaks_off(phase, self.config, self.history):
                    funnel.take_counts()
                    return None
        ordered = [outcomes[number] for number in range(len(asked))]
        seconds = self.budget.clock() - started
        return GenerationRecord(
            len(self.history), phase.kind, asked_digest(asked), ordered, funnel.take_counts(), seconds,
            _origins(phase.search, asked),
        )  # fmt: skip

    def _arrivals(self, phase: Phase) -> Records:
        """A phase whose search is told each outcome as it arrives, and is asked for one more candidate then."""
        arrivals = self.arrivals_of(phase)
        yield from self.replayed(phase, arrivals)
        if self._replays:
            return
        search, funnel = arrivals.search, self.funnel(phase.training)
        with closing(SeedAverage(funnel, phase.seeds)) as evaluator:
            for number, expression in arrivals.under_way.items():
                evaluator.submit({number: expression})
            arrived: deque[tuple[int, Outcome]] = deque()
            started = self.budget.clock()
            while not search.done and not self.budget.is_up(phase, self.config, self.history):
                while not search.exhausted and len(arrivals.under_way) < (self.slots or evaluator.slots):
                    evaluator.submit(arrivals.ask())
                if not arrived:
                    arrived.extend(evaluator.next().items())
                number, outcome = arrived.popleft()
                self.listener.on_outcome(outcome)
                now = self.budget.clock()
                yield self.arrival(phase, arrivals.arrive(number), outcome, now - started)
                started = now
                search.tell(self.as_merits([outcome]))

    def arrivals_of(self, phase: Phase) -> Arrivals:
        """The candidates of a steady-state phase: none is under way yet, unless it goes on after a confirmation."""
        assert isinstance(phase.search, SteadyStateSearch)  # noqa: S101 - the caller checks it
        if self._arriving is None or self._arriving.search is not phase.search:
            self._arriving = Arrivals(self.name, phase.search, self._candidates)
        return self._arriving

    def replayed(self, phase: Phase, arrivals: Arrivals) -> Records:
        """The recorded arrivals of a phase; the caller appends each to the history."""
        while not arrivals.search.done and self._replays:
            if self._ends_here(phase):
                return
            record = self._recorded[len(self.history)]
            self._check_phase(record, phase)
            arrivals.replay(record)
            self.funnel(phase.training).take_counts()  # screening is counted in the record already
            yield record
            arrivals.search.tell(self.as_merits(record.outcomes))

    def arrival(self, phase: Phase, asked: str, outcome: Outcome, seconds: float) -> GenerationRecord:
        """The record of a new arrival."""
        counts = self.funnel(phase.training).take_counts()
        made = _origins(phase.search, [parse(outcome.expression)])
        return GenerationRecord(len(self.history), phase.kind, asked, [outcome], counts, seconds, made)

    def as_merits(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What the search is told: higher fitness is better.

        Of most tasks, that is the metric, and 0 for a candidate that failed or was given up.  The score of an objective, or
        an error, may be any number, so such a candidate counts as minus infinity.
        """
        if not self.task.free_scores:
            return [replace(o, fitness=0.0) if o.status is Status.STOPPED else o for o in outcomes]
        sign = self.task.direction.sign
        return [
            replace(outcome, fitness=sign * outcome.fitness if outcome.status is Status.TRAINED else -math.inf)
            for outcome in outcomes
        ]

    @property
    def _candidates(self) -> int:
        """How many candidates the history has."""
        return sum(len(record.outcomes) for record in self.history)

    def _check_phase(self, record: GenerationRecord, phase: Phase) -> None:
        if record.phase is not phase.kind:
            raise ReplayError(
                f"study '{self.name}' cannot go on: generation {record.generation} is of phase {record.phase} in the record "
                f"and of phase {phase.kind} now; {CHANGED}"
            )

    def _check_generation(self, record: GenerationRecord, asked: Sequence[Expr]) -> None:
        if record.asked == asked_digest(asked):
            return
        there = [outcome.expression for outcome in record.outcomes]
        here = [str(expression) for expression in asked]
        first = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), min(len(there), len(here)))
        shown = [texts[first] if first < len(texts) else "nothing" for texts in (there, here)]
        raise ReplayError(
            f"study '{self.name}' cannot go on: in generation {record.generation}, candidate {first} is {shown[0]} in the "
            f"record and {shown[1]} now; {CHANGED}"
        )


def _origins(search: Search, asked: Sequence[Expr]) -> dict[str, Origin]:
    """How candidates were made, as far as the search says it."""
    if not isinstance(search, KnowsOrigins):
        return {}
    found = {str(expression): search.origin(expression) for expression in asked}
    return {text: origin for text, origin in found.items() if origin is not None}
