"""A study in TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from glo.trackers.tracker import Tracker, TrackerRun, library


class TensorBoardCallback(Tracker):
    """Writes a study as event files that TensorBoard shows.

    Args:
        log_dir: a folder for studies; each gets a folder of its own in it, named like the study.

    Raises:
        ConfigError: if tensorboard is not installed.

    Example:
        glo.Study("digits", callbacks=[glo.trackers.TensorBoardCallback("runs")]).search()
    """

    def __init__(self, log_dir: str | Path = "runs") -> None:
        library("tensorboard", "TensorBoardCallback", "tensorboard")
        self._tensorboard = library("torch.utils.tensorboard", "TensorBoardCallback", "tensorboard")
        self._log_dir = Path(log_dir)

    def begin(self, run: TrackerRun) -> None:
        self._run = run
        self._writer = self._tensorboard.SummaryWriter(str(self._log_dir / f"{run.name}-{run.key[:6]}"))
        self._writer.add_text("configuration", _code(json.dumps(dict(run.parameters), indent=2)))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, files: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        for name, text in files.items():
            self._writer.add_text(name, _code(text))
        self._writer.add_hparams(dict(self._run.parameters), dict(metrics), run_name=".")
        self._writer.close()

    def abandon(self) -> None:
        self._writer.close()


def _code(text: str) -> str:
    """Markdown that shows the text as it is."""
    return "".join(f"    {line}\n" for line in text.splitlines())
