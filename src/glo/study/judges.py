"""What judges the candidates of a run: the funnel of its configuration, with training behind it."""

from __future__ import annotations

from glo.evaluation import Flowing, Funnel, FunnelConfig, LocalEvaluator, Stream
from glo.execution import MakeTrainer, TrainsInFlow
from glo.records import TrainingConfig, new_counts
from glo.store import Store
from glo.tasks import Task


class Judges:
    """All of them count together, and share what is known.

    Args:
        task: what is trained on.
        config: which cheap stages the funnel has.
        make_trainer: where networks are trained.
        store: knows outcomes of other runs.
        slots: of a stream, how many candidates are trained at once; by default as many as keep all that trains busy.
    """

    def __init__(
        self, task: Task, config: FunnelConfig, make_trainer: MakeTrainer, store: Store, slots: int | None = None
    ) -> None:
        self._task, self._config, self._make_trainer, self._store, self._slots = task, config, make_trainer, store, slots
        self._counts = new_counts()
        self._trainers: dict[str, TrainsInFlow] = {}
        self._funnels: dict[str, Funnel] = {}

    def funnel(self, training: TrainingConfig) -> Funnel:
        """Judges a batch of candidates; for the same way of training it is the same."""
        key = training.model_dump_json()
        if key not in self._funnels:
            evaluator = self._evaluator(training)
            self._funnels[key] = Funnel(
                self._task, training, self._config, lambda _: evaluator, self._store.known, self._counts
            )
        return self._funnels[key]

    def stream(self, training: TrainingConfig) -> Stream:
        """Judges candidates as they come, behind the stages of that funnel; to be closed."""
        flow = self._trainer(training).flow(self._slots)
        return Stream(self.funnel(training), Flowing(self._evaluator(training), flow))

    def _evaluator(self, training: TrainingConfig) -> LocalEvaluator:
        return LocalEvaluator(self._task, training, counts=self._counts, trainer=self._trainer(training))

    def _trainer(self, training: TrainingConfig) -> TrainsInFlow:
        key = training.model_dump_json()
        if key not in self._trainers:
            self._trainers[key] = self._make_trainer(self._task, training)
        return self._trainers[key]
