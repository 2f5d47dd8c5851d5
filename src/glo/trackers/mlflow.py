"""A study in MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping

from glo.trackers.tracker import Tracker, TrackerRun, library

TAG = "glo.study"  # of a run: the key of its study
BATCH = 100  # parameters that a server takes at once


class MLflowCallback(Tracker):
    """Logs a study as a run of MLflow; a study that goes on goes on in the same run.

    Args:
        tracking_uri: of the server, folder or database; by default that of MLflow (MLFLOW_TRACKING_URI).
        experiment_name: to which the run belongs; it is created if there is none.

    Raises:
        ConfigError: if mlflow is not installed.

    Example:
        glo.Study("digits", callbacks=[glo.trackers.MLflowCallback("http://127.0.0.1:5000")]).search()
    """

    def __init__(self, tracking_uri: str | None = None, experiment_name: str = "glo") -> None:
        self._mlflow = library("mlflow", "MLflowCallback", "mlflow")
        self._client = self._mlflow.MlflowClient(tracking_uri)
        self._experiment_name = experiment_name

    def begin(self, run: TrackerRun) -> None:
        client, name = self._client, self._experiment_name
        known = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if known is None else known.experiment_id
        found = client.search_runs([experiment], f"tags.`{TAG}` = '{run.key}'", max_results=1)
        begun = found[0] if found else client.create_run(experiment, run_name=run.name, tags={TAG: run.key})
        self._run_id = begun.info.run_id
        client.update_run(self._run_id, status="RUNNING")
        # A parameter of a run cannot change: where a phase was added since, that which came first stays.
        new = [(key, value) for key, value in run.parameters.items() if key not in begun.data.params]
        parameters = [self._mlflow.entities.Param(key, str(value)) for key, value in new]
        for start in range(0, len(parameters), BATCH):
            client.log_batch(self._run_id, params=parameters[start : start + BATCH])

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        now, metric = round(1000 * time.time()), self._mlflow.entities.Metric
        self._client.log_batch(self._run_id, metrics=[metric(name, value, now, step) for name, value in metrics.items()])

    def end(self, files: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        for name, text in files.items():
            self._client.log_text(self._run_id, text, name)
        self.log(0, metrics)
        self._client.set_terminated(self._run_id)

    def abandon(self) -> None:
        self._client.set_terminated(self._run_id, "KILLED")
