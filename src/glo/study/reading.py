"""What is recorded of a study, read without running it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.errors import StoreError
from glo.store import Store
from glo.study.record import find_record, recorded_result
from glo.study.result import FrozenTrial, StudyResult

if TYPE_CHECKING:
    import pandas
    import torch

    from glo.loss import ExpressionLoss


class RecordedStudy:
    """The part of a `Study` that reads its record: every call sees what is recorded by then, by this process or another."""

    storage: str | Path

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...

    @property
    def is_recorded(self) -> bool:
        """Whether there is such a study in the store."""
        return find_record(self.storage, self.name) is not None

    @property
    def result(self) -> StudyResult:
        """The study as far as it is recorded.

        Raises:
            StudyError: if nothing is recorded yet.
        """
        with closing(Store(self.storage, create=False)) as store:
            return recorded_result(store, self.name)

    @property
    def best(self) -> FrozenTrial:
        """The trained candidate of highest fitness; see `StudyResult.best`."""
        return self.result.best

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every candidate so far, in order."""
        return self.result.trials

    def to_frame(self) -> pandas.DataFrame:
        """The trials as a pandas DataFrame; see `StudyResult.to_frame`."""
        return self.result.to_frame()

    @property
    def judgement(self) -> dict[str, Any] | None:
        """The last judgement of the study (`Study.judge`) as JSON-like data; None if there is none."""
        with closing(Store(self.storage, create=False)) as store:
            return store.judgement(self.name)

    def report(self, path: str | Path = "report.html") -> Path:
        """Write the study as one HTML file, to look at and to send: it needs no network and nothing beside it.

        It shows the verdict if the study has been judged (`Study.judge`), the loss with the code that uses it, its curves,
        the comparison, the progress, and all candidates.

        Args:
            path: of the file.

        Returns:
            The path.

        Raises:
            StudyError: if there is no such study.
            ConfigError: if the file cannot be written.
        """
        from glo.study.reporting import recorded_content, write_report

        return write_report(recorded_content(self.storage, self.name), path)

    def _repr_html_(self) -> str | None:
        """The study in short, as a notebook shows it; None, for its plain form, if nothing of it is recorded."""
        from glo.report.page import study_card
        from glo.study.reporting import recorded_content

        try:
            return study_card(recorded_content(self.storage, self.name))
        except StoreError:
            return None

    def loss(self, weight: torch.Tensor | None = None, *, trial: FrozenTrial | None = None) -> ExpressionLoss:
        """The best loss, or that of a trial, as a module that trains as the search did; see `StudyResult.loss`."""
        return self.result.loss(weight, trial=trial)
