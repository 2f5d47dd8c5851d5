"""What a search has to beat, said before it begins, and the verdict at its end: for `glo search` and `glo resume`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glo.cli.comparing import Baselines
from glo.cli.output import command_line, print_table
from glo.cli.streams import say

if TYPE_CHECKING:
    from glo.compare import ComparisonConfig, Judgement, Survey
    from glo.study import Callback, FrozenTrial, Study


@dataclass
class Judging:
    """The survey and the judgement of a study, as far as they are made.

    Attributes:
        baselines: what the loss that is found has to beat.
        repeats: fresh seeds of the measurement on test.
        as_json: whether only JSON is printed.
        survey: of the known losses, made before the search.
        judgement: made after it.
        reason: why there is no verdict.
        metrics: by which the finalists are measured too.
        front: the finalists that no other beats in all of them.
        selected_by: the metric of the task.
    """

    baselines: Baselines = Baselines.shelf
    repeats: int = 10
    as_json: bool = False
    survey: Survey | None = None
    judgement: Judgement | None = None
    reason: str = ""
    metrics: Sequence[str] = ()
    front: Sequence[FrozenTrial] = ()
    selected_by: str = ""

    @property
    def config(self) -> ComparisonConfig:
        """How losses are compared.

        Raises:
            ConfigError: for fewer than two repeats.
        """
        from glo.compare import ComparisonConfig
        from glo.compare.judging import JUDGING

        how = JUDGING.model_dump(exclude_unset=True)
        return ComparisonConfig(**{**how, "baselines": self.baselines.value, "repeats": self.repeats})

    def surveying(self) -> Callback:
        """A callback that trains the known losses before the first generation, and says what they reach."""
        from glo.study import Callback

        judging = self

        class Surveying(Callback):
            def on_begin(self, study: Study) -> None:
                if not judging._why_not(study):
                    judging.survey = study.survey(judging.config)
                    if not judging.as_json:
                        say(str(judging.survey))

        return Surveying()

    def check(self, study: Study) -> None:
        """Check before anything is trained that the metrics can be measured.

        Raises:
            ConfigError, TaskError: if not.
        """
        from glo.study.pareto import check_metrics

        if self.metrics:
            check_metrics(study.task, self.metrics)

    def judge(self, study: Study) -> None:
        """Measure the finalists of the study by further metrics, if that is asked for, and judge it, if it can be."""
        if self.metrics:
            self.front = study.pareto(self.metrics)
            self.selected_by = study.task.metric_name
        if not (reason := self._why_not(study) or self._why_not_now(study)):
            self.judgement = study.judge(self.config, surveyed=self.survey)
        self.reason = reason

    def to_dict(self) -> dict[str, Any]:
        """The verdict and the survey as JSON-like data."""
        verdict = {"finding": None, "text": self.reason} if self.judgement is None else self.judgement.verdict.to_dict()
        told = {"verdict": verdict, "survey": None if self.survey is None else self.survey.to_dict()}
        return {**told, "pareto": [_row(trial) for trial in self.front]} if self.metrics else told

    def show(self, name: str, storage: str | None) -> None:
        """Print the finalists by further metrics, and the verdict and its numbers, or why there is none."""
        if self.metrics:
            from glo.report import pareto_table

            print_table(pareto_table([_row(trial) for trial in self.front], self.metrics))
            say(f"The search selected by {self.selected_by} alone.")
        if self.judgement is None:
            say(f"No verdict: {self.reason}.")
            return
        again = command_line("glo compare", study=name, baselines=self.baselines.value, storage=storage)
        say(f"details        {again}")
        for note in self.judgement.verdict.notes:
            say(f"Note: {note}")
        say(self.judgement.verdict.text)

    def _why_not(self, study: Study) -> str:
        """Why a study cannot be judged at all; empty if it can."""
        from glo.tasks import Objective

        if self.baselines is Baselines.none:
            return "--baselines none leaves nothing to compare with"
        if isinstance(study.task, Objective):
            return "an objective trains each loss itself, and the shelf would take hundreds of trials: use glo compare"
        if study.task.test is None:
            return "the task has no test split to judge on: give Task(..., test=...)"
        return ""

    @staticmethod
    def _why_not_now(study: Study) -> str:
        """Why a search that has ended cannot be judged; empty if it can."""
        from glo.records import PhaseKind

        if PhaseKind.GENETIC not in study.result.config.phases:
            return "only a search is judged"
        if study.result.finalists(1):
            return ""
        if study.out_of_time:
            return f"the timeout has ended the search before it found a loss: go on with glo resume {study.name}"
        return "the search found no loss that trains"


def _row(trial: FrozenTrial) -> dict[str, Any]:
    """A finalist with its metrics as JSON-like data."""
    return {
        "expression": trial.expression, "learning_rate": trial.learning_rate, "nodes": trial.nodes,
        "metrics": dict(trial.metrics),
    }  # fmt: skip
