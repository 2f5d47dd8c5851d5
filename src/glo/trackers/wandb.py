"""A study in Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from glo.trackers.tracker import Tracker, TrackerRun, library


class WandbCallback(Tracker):
    """Logs a study as a run of Weights & Biases; a study that goes on goes on in the same run.

    Args:
        project: to which the run belongs.
        entity: the user or team; by default your own.
        mode: "online", "offline" or "disabled"; by default as in WANDB_MODE.
        dir: the folder for its files; by default ./wandb.

    Raises:
        ConfigError: if wandb is not installed.

    Example:
        glo.Study("digits", callbacks=[glo.trackers.WandbCallback("losses", mode="offline")]).search()
    """

    def __init__(
        self,
        project: str = "glo",
        *,
        entity: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
        dir: str | Path | None = None,  # noqa: A002 - its name in wandb
    ) -> None:
        self._wandb = library("wandb", "WandbCallback", "wandb")
        folder = None if dir is None else str(dir)
        self._options = {"project": project, "entity": entity, "mode": mode, "dir": folder}

    def begin(self, run: TrackerRun) -> None:
        self._name = run.name
        active = self._wandb.run  # this study's, if it was interrupted in this process; else the user's own
        reinit = "create_new" if active is not None and active.id != run.key else "return_previous"
        self._run = self._wandb.init(id=run.key, name=run.name, resume="allow", reinit=reinit, **self._options)
        self._run.config.update(dict(run.parameters), allow_val_change=True)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=step)

    def end(self, files: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        artifact = self._wandb.Artifact(f"{self._name}-loss", type="loss")
        for name, text in files.items():
            with artifact.new_file(name) as file:
                file.write(text)
        if files:
            self._run.log_artifact(artifact)
        self._run.summary.update(dict(metrics))
        self._run.finish()
