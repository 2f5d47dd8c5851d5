"""The loop that is the whole program: ask, evaluate, record, tell.  To resume is the same loop with recorded outcomes.

A study has one phase or several, each with a search of its own.  A generational search is told a whole generation at a
time; a steady-state search is told single outcomes as they arrive.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from glo.errors import LostStoreError, ReplayError
from glo.evaluation import Funnel, SeedAverage, fair_early_stop
from glo.execution import Executor
from glo.expr import Expr
from glo.records import Outcome, TrainingConfig, new_counts
from glo.search import Search, SteadyStateSearch
from glo.store import GenerationRecord, Store
from glo.study.config import StudyConfig
from glo.study.history import asked_digest
from glo.study.phases import Phase, phases
from glo.tasks import Task

CHANGED = "the code or the configuration has changed: use the recorded version, or start a new study"
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
        task: the loaded task.
        store: where the study is recorded; also the cache of known outcomes.
        executor: where networks are trained.
        slots: of a steady-state search, how many candidates are under way at once; None for as many as keep the executor
            busy.
        listener: is told of outcomes and generations.
        own: the user's search, if a phase has one.
        history: all generations so far; of a steady-state phase all arrivals, each a generation of one.
    """

    name: str
    config: StudyConfig
    task: Task
    store: Store
    executor: Executor
    slots: int | None = None
    listener: Listener = field(default_factory=Listener)
    own: Search | None = None
    history: list[GenerationRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._recorded = self.store.generations(self.name)
        self._counts = new_counts()
        self._funnels: dict[str, Funnel] = {}

    def run(self) -> list[GenerationRecord]:
        """Run all phases to their end, or until the listener stops them, starting with the recorded generations.

        Returns:
            The history.

        Raises:
            ReplayError: if a search asks for other expressions than are recorded, or ends before the record does.
            StudyError: if one training after the other fails in the same way.
        """
        training = fair_early_stop(self.task, self.config.training, self.config.seed, self.executor)
        self.config = self.config.model_copy(update={"training": training})
        screen = self._funnel(self.config.training).screen
        for phase in phases(self.config, screen, self.history, self.own):
            records = self._arrivals if isinstance(phase.search, SteadyStateSearch) else self._generations
            with closing(records(phase)) as generations:
                for record in generations:
                    if self._replays:
                        self.listener.on_replay(record)
                    else:
                        self._record(record)
                        self.listener.on_generation(record)
                    self.history.append(record)
                    if self.listener.stopped():
                        return self.history
        if self._replays:
            raise ReplayError(
                f"study '{self.name}' ends after {len(self.history)} generations, and its record has "
                f"{len(self._recorded)}: {CHANGED}"
            )
        return self.history

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

    def _funnel(self, training: TrainingConfig) -> Funnel:
        """The funnel of this study for a way of training; all of them count together."""
        key = training.model_dump_json()
        if key not in self._funnels:
            self._funnels[key] = Funnel(self.task, training, self.config.funnel, self.executor, self.store, self._counts)
        return self._funnels[key]

    def _generations(self, phase: Phase) -> Records:
        """A phase whose search asks for a generation at a time, and is told when the generation is recorded."""
        funnel = self._funnel(phase.training)
        while not phase.search.done:
            asked = phase.search.ask()
            if self._replays:
                record = self._recorded[len(self.history)]
                self._check_phase(record, phase)
                self._check_generation(record, asked)
                funnel.take_counts()  # screening is counted in the record already
            else:
                record = self._evaluated(phase, asked, funnel)
            yield record
            phase.search.tell(record.outcomes)

    def _evaluated(self, phase: Phase, asked: Sequence[Expr], funnel: Funnel) -> GenerationRecord:
        """A generation: all candidates are submitted at once, and drained."""
        started = time.perf_counter()
        outcomes: dict[int, Outcome] = {}
        with closing(SeedAverage(funnel, phase.seeds)) as evaluator:
            evaluator.submit(dict(enumerate(asked)))
            while len(outcomes) < len(asked):
                for number, outcome in evaluator.next().items():
                    outcomes[number] = outcome
                    self.listener.on_outcome(outcome)
        ordered = [outcomes[number] for number in range(len(asked))]
        seconds = time.perf_counter() - started
        return GenerationRecord(len(self.history), phase.kind, asked_digest(asked), ordered, funnel.take_counts(), seconds)

    def _arrivals(self, phase: Phase) -> Records:
        """A phase whose search is told each outcome as it arrives, and is asked for one more candidate then.

        An arrival is recorded as a generation of one, with the digest of the expressions that were asked for since the
        arrival before.  So the record has the order of the arrivals, and what was asked before each: all that a replay
        needs.  Candidates that were under way when the study was killed are evaluated from their start.
        """
        search, funnel = phase.search, self._funnel(phase.training)
        assert isinstance(search, SteadyStateSearch)  # noqa: S101 - the caller checks it
        under_way: dict[int, Expr] = {}
        count = 0
        while not search.done and self._replays:
            record = self._recorded[len(self.history)]
            self._check_phase(record, phase)
            for expression in self._asked_before(record, search):
                under_way[count] = expression
                count += 1
            del under_way[self._arrived(record, under_way)]
            funnel.take_counts()  # screening is counted in the record already
            yield record
            search.tell(record.outcomes)
        with closing(SeedAverage(funnel, phase.seeds)) as evaluator:
            for number, expression in under_way.items():
                evaluator.submit({number: expression})
            arrived: deque[tuple[int, Outcome]] = deque()
            started = time.perf_counter()
            while not search.done:
                new: list[Expr] = []
                while not search.exhausted and len(under_way) < (self.slots or evaluator.slots):
                    (expression,) = search.ask()
                    new.append(expression)
                    under_way[count] = expression
                    evaluator.submit({count: expression})
                    count += 1
                if not arrived:
                    arrived.extend(evaluator.next().items())
                number, outcome = arrived.popleft()
                del under_way[number]
                self.listener.on_outcome(outcome)
                now = time.perf_counter()
                yield GenerationRecord(
                    len(self.history), phase.kind, asked_digest(new), [outcome], funnel.take_counts(), now - started
                )
                started = now
                search.tell([outcome])

    def _asked_before(self, record: GenerationRecord, search: SteadyStateSearch) -> list[Expr]:
        """The expressions that were asked for between the arrival before and this one."""
        asked: list[Expr] = []
        while asked_digest(asked) != record.asked:
            if search.exhausted:
                raise self._other_arrival(record)
            asked += search.ask()
        return asked

    def _arrived(self, record: GenerationRecord, under_way: dict[int, Expr]) -> int:
        """The number of the candidate that a recorded outcome belongs to; of two equal candidates the first."""
        (outcome,) = record.outcomes
        for number, expression in under_way.items():
            if str(expression) == outcome.expression:
                return number
        raise self._other_arrival(record)

    def _other_arrival(self, record: GenerationRecord) -> ReplayError:
        return ReplayError(
            f"study '{self.name}' cannot go on: before arrival {record.generation}, other candidates were asked for than "
            f"are asked for now (in the record, {record.outcomes[0].expression} arrives); {CHANGED}"
        )

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
