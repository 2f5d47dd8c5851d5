"""What the trackers have in common: the metrics of a generation, the parameters of a study, and the files of its loss."""

from __future__ import annotations

import importlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glo.errors import ConfigError
from glo.loss import source
from glo.records import Direction, PhaseKind, Stage, Status, digest
from glo.store import GenerationRecord
from glo.study import Callback, Study, StudyResult
from glo.study.record import find_record

NAME = re.compile(r"\w+")  # operators are none: their weights are one parameter
Parameter = bool | int | float | str


@dataclass(frozen=True)
class TrackerRun:
    """The run of a study in a tracker.

    Attributes:
        name: of the study.
        key: the same whenever this study goes on, and another one for another study of this name.
        parameters: the options of the study, by dotted name.
    """

    name: str
    key: str
    parameters: Mapping[str, Parameter]


class Tracker(Callback, ABC):
    """Sends a study to a tracker: one step for each generation, and the loss that it has found.

    A subclass says how.  Generations that are replayed, when a study goes on, are not sent again.
    """

    _begun = False  # whether there is a run that was not ended

    @abstractmethod
    def begin(self, run: TrackerRun) -> None:
        """Start the run, or go on with it if there is one with this key."""

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of a generation."""

    @abstractmethod
    def end(self, files: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Send the loss and end the run.

        Args:
            files: texts by file name; none if nothing could be trained.
            metrics: of the best loss.
        """

    def abandon(self) -> None:
        """End the run as killed: an exception has ended the study, which may go on.  By default nothing is done."""

    def on_begin(self, study: Study) -> None:
        self._best: dict[str, float] = {}
        record = find_record(study.storage, study.name)
        created = "" if record is None else record.created
        self.begin(TrackerRun(study.name, digest([study.name, created])[:16], parameters_of(study.result)))
        self._begun = True

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:
        self._metrics(generation, study.task.direction)  # the best so far

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        self.log(generation.generation, self._metrics(generation, study.task.direction))

    def on_end(self, study: Study, result: StudyResult) -> None:  # noqa: ARG002 - the hook's signature
        found = result.finalists(1)
        self.end(loss_files(result) if found else {}, {"fitness/final": found[0].fitness} if found else {})
        self._begun = False

    def on_exception(self, study: Study, error: BaseException) -> None:  # noqa: ARG002 - the hook's signature
        if self._begun:
            self._begun = False
            self.abandon()

    def _metrics(self, generation: GenerationRecord, direction: Direction) -> dict[str, float]:
        """Fitness and the funnel.  A confirmation, of few candidates on fresh seeds, has curves of its own."""
        what = "confirmation" if generation.phase is PhaseKind.CONFIRMATION else "fitness"
        values = [outcome.fitness for outcome in generation.outcomes if outcome.status is Status.TRAINED]
        metrics: dict[str, float] = {"seconds": generation.seconds}
        if values:
            known = [*values, *([self._best[what]] if what in self._best else [])]
            self._best[what] = max(known, key=lambda fitness: direction.sign * fitness)
            metrics |= {f"{what}/mean": sum(values) / len(values), f"{what}/best": self._best[what]}
        for stage, count in generation.funnel.items():
            if stage is not Stage.CONSTRAINT or count.candidates:
                metrics |= {
                    f"funnel/{stage.value}/candidates": count.candidates,
                    f"funnel/{stage.value}/rejected": count.rejected,
                }
        return metrics


def library(module: str, callback: str, extra: str) -> Any:
    """Import the library of a tracker.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"{callback} needs {extra}: pip install 'glo-torch[{extra}]' ({error})") from None


def parameters_of(result: StudyResult) -> dict[str, Parameter]:
    """All options of a study by dotted name, without those that have no value, and its versions."""
    flat: dict[str, Parameter] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict) and all(map(NAME.fullmatch, value)):
            for key, part in value.items():
                add(f"{name}.{key}" if name else key, part)
        elif value is not None:
            flat[name] = value if isinstance(value, Parameter) else json.dumps(value)

    config = result.config.model_dump(mode="json", exclude={"task": {"training"}})  # all of it is in `training`
    add("", {**config, "versions": dict(result.versions)})
    return flat


def loss_files(result: StudyResult) -> dict[str, str]:
    """The best loss of a study, as files to keep.

    loss.json has the expression, with the scale for the unit gradient, and what the search applied besides.  loss.py is its
    source, without glo; there is none if the search applied something that source does not have, such as class weights.
    """
    best, config = result.best, result.config
    smoothing = {"label_smoothing": config.training.label_smoothing} if config.training.label_smoothing else {}
    left_out = {**config.task.loss_options, **smoothing}
    told = {
        "study": result.name,
        "expression": str(best.trained),
        "fitness": best.fitness,
        "learning_rate": best.learning_rate,
        "link": config.task.link.value,
        "class_reduction": config.training.class_reduction,
        "eps": config.training.eps,
        **left_out,
    }
    files = {"loss.json": json.dumps(told, indent=2) + "\n"}
    if not left_out:
        prior = config.task.prior if best.trained.uses("prior") else ()
        options: dict[str, Any] = {"class_reduction": config.training.class_reduction, "eps": config.training.eps}
        files["loss.py"] = source(best.trained, "torch", config.task.link, **options, prior=prior)
    return files
