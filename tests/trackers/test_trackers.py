"""The trackers, with the real libraries and without network: what is sent is read back by each library."""

from __future__ import annotations

import importlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from callbacks import Interrupting
from glo.records import PhaseKind, Status
from glo.study import Study, StudyResult
from glo.tasks import Task
from glo.trackers import MLflowCallback, TensorBoardCallback, Tracker, TrackerRun, WandbCallback

SMALL: Any = {"population": 8, "generations": 3, "steps": 20, "confirm": 2}
Curve = list[tuple[int, float]]

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the libraries


class InMemory(Tracker):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.runs: list[TrackerRun] = []
        self.steps: list[tuple[int, Mapping[str, float]]] = []
        self.files: dict[str, str] = {}

    def begin(self, run: TrackerRun) -> None:
        self.runs.append(run)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.steps.append((step, metrics))

    def end(self, files: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        self.files = dict(files)


def task(**options: Any) -> Task:
    rng = np.random.default_rng(0)
    labels = np.arange(180) % 3
    points = (rng.normal(size=(180, 4)) + 2 * np.eye(4)[labels]).astype(np.float32)
    parts = {"train": slice(0, 90), "validation": slice(90, 180)}
    data: Any = {name: (points[part], labels[part]) for name, part in parts.items()}
    return Task("points", model=lambda: nn.Linear(4, 3), **data, training={"batch_size": 30}, **options)


@pytest.fixture
def interrupted(tmp_path: Path) -> Callable[[Tracker, Tracker], StudyResult]:
    """Searches with one tracker, is interrupted after two generations, and goes on with another one."""

    def search(first: Tracker, second: Tracker) -> StudyResult:
        store = tmp_path / "glo.db"
        with pytest.raises(KeyboardInterrupt):
            Study(task(), name="tracked", storage=store, callbacks=[first, Interrupting(2)]).search(**SMALL)
        return Study(task(), name="tracked", storage=store, callbacks=[second]).search()

    return search


def expected(result: StudyResult) -> tuple[Curve, Curve]:
    """The mean fitness of each generation in which something was trained, and the best so far; without the confirmation."""
    mean, best = [], []
    for record in result.history:
        values = [outcome.fitness for outcome in record.outcomes if outcome.status is Status.TRAINED]
        if values and record.phase is not PhaseKind.CONFIRMATION:
            mean.append((record.generation, sum(values) / len(values)))
            best.append((record.generation, max([*values, *(value for _, value in best)])))
    return mean, best


def assert_curves(curves: Callable[[str], Curve], result: StudyResult) -> None:
    """Every step is there once, also those from before the interruption."""
    mean, best = expected(result)
    for name, curve in (("fitness/mean", mean), ("fitness/best", best)):
        assert [step for step, _ in curves(name)] == [step for step, _ in curve]
        assert [value for _, value in curves(name)] == pytest.approx([value for _, value in curve])
    rejected = [(record.generation, next(iter(record.funnel.values())).rejected) for record in result.history]
    assert curves("funnel/structure/rejected") == rejected
    assert [step for step, _ in curves("confirmation/best")] == [
        record.generation for record in result.history if record.phase is PhaseKind.CONFIRMATION
    ]


def assert_same_loss(text: str, result: StudyResult) -> None:
    """The source computes the loss that the study hands out."""
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - glo's own source
    outputs, labels = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    assert names["loss"](outputs, labels).item() == pytest.approx(result.loss()(outputs, labels).item(), rel=1e-5)


def test_a_study_that_goes_on_sends_each_step_once(interrupted: Callable[[Tracker, Tracker], StudyResult]) -> None:
    first, second = InMemory(), InMemory()
    result = interrupted(first, second)
    steps = [*first.steps, *second.steps]
    assert_curves(lambda name: [(step, metrics[name]) for step, metrics in steps if name in metrics], result)
    assert [run.key for run in first.runs] == [run.key for run in second.runs]
    assert first.runs[0].parameters["training.steps"] == 20
    assert (first.files, set(second.files)) == ({}, {"loss.json", "loss.py"})
    assert json.loads(second.files["loss.json"])["fitness"] == result.fitness
    assert_same_loss(second.files["loss.py"], result)


def test_another_study_of_the_same_name_is_another_run(tmp_path: Path) -> None:
    trackers = [InMemory(), InMemory()]
    for number, tracker in enumerate(trackers):
        study = Study(task(), name=f"study-{number}", storage=tmp_path / "glo.db", callbacks=[tracker])
        study.search(population=4, generations=1, steps=10, confirm=0)
    assert len({tracker.runs[0].key for tracker in trackers}) == 2


def test_a_loss_with_class_weights_has_no_source(tmp_path: Path) -> None:
    tracker = InMemory()
    weighted = task(class_weight=[1.0, 2.0, 3.0])
    Study(weighted, storage=tmp_path / "glo.db", callbacks=[tracker]).search(**SMALL)
    assert set(tracker.files) == {"loss.json"}
    assert json.loads(tracker.files["loss.json"])["weight"] == [1.0, 2.0, 3.0]


def test_tensorboard(interrupted: Callable[[Tracker, Tracker], StudyResult], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'glo-torch[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    result = interrupted(TensorBoardCallback(tmp_path / "runs"), TensorBoardCallback(tmp_path / "runs"))
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("tracked-")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert_curves(lambda name: [(event.step, event.value) for event in events.Scalars(name)], result)
    (source,) = events.Tensors("loss.py/text_summary")
    text = source.tensor_proto.string_val[0].decode()
    assert_same_loss("\n".join(line.removeprefix("    ") for line in text.splitlines()), result)
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    message: Any = vars(plugin_data_pb2)["HParamsPluginData"]
    assert message.FromString(content).session_start_info.hparams["training.steps"].number_value == 20


def test_mlflow(
    interrupted: Callable[[Tracker, Tracker], StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # without a server
    mlflow = pytest.importorskip("mlflow", reason="pip install 'glo-torch[mlflow]'")
    uri = (tmp_path / "mlruns").as_uri()
    result = interrupted(MLflowCallback(uri), MLflowCallback(uri))
    client: Any = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("glo").experiment_id])
    assert (run.info.run_name, run.info.status) == ("tracked", "FINISHED")
    assert_curves(lambda name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)], result)
    assert run.data.params["training.steps"] == "20"
    assert run.data.metrics["fitness/final"] == pytest.approx(result.fitness)
    file = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="loss.py", tracking_uri=uri)
    assert_same_loss(Path(file).read_text(encoding="utf-8"), result)


def test_mlflow_says_that_a_study_was_interrupted_and_goes_on_in_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow", reason="pip install 'glo-torch[mlflow]'")
    store, uri = tmp_path / "glo.db", (tmp_path / "mlruns").as_uri()
    with pytest.raises(KeyboardInterrupt):
        Study(task(), name="tracked", storage=store, callbacks=[MLflowCallback(uri), Interrupting(2)]).search(**SMALL)
    client: Any = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("glo").experiment_id
    (left,) = client.search_runs([experiment])
    assert left.info.status == "KILLED"
    Study(task(), name="tracked", storage=store, callbacks=[MLflowCallback(uri)]).search()
    (ended,) = client.search_runs([experiment])
    assert (ended.info.run_id, ended.info.status) == (left.info.run_id, "FINISHED")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Weights & Biases without network and outside the home folder."""
    wandb = pytest.importorskip("wandb", reason="pip install 'glo-torch[wandb]'")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield
    wandb.teardown()


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of an offline run: after a header, LevelDB's log format, in which a record may have several parts."""
    from wandb.proto import wandb_internal_pb2

    message: Any = vars(wandb_internal_pb2)["Record"]
    data, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        block = 32768 - at % 32768
        if block < 7:
            at += block
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield message.FromString(record)
            record = b""


def test_wandb(interrupted: Callable[[Tracker, Tracker], StudyResult], tmp_path: Path, offline: None) -> None:
    first, second = (WandbCallback("losses", mode="offline", dir=tmp_path) for _ in range(2))
    result = interrupted(first, second)
    importlib.import_module("wandb").teardown()  # its process writes the file to the end
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    records = list(wandb_records(file))
    rows: list[dict[str, Any]] = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert_curves(lambda name: [(row["_step"], row[name]) for row in rows if name in row], result)
    options = {item.key: json.loads(item.value_json) for record in records for item in record.config.update}
    assert options["training.steps"] == 20
    assert [record.run.run_id for record in records if record.HasField("run")] == [file.stem.removeprefix("run-")]
    (artifact,) = [record.artifact for record in records if record.HasField("artifact")]
    contents = {entry.path: entry.local_path for entry in artifact.manifest.contents}
    assert set(contents) == {"loss.json", "loss.py"}
    assert_same_loss(Path(contents["loss.py"]).read_text(encoding="utf-8"), result)


MISSING = """
import sys
sys.modules["{module}"] = None
import glo
try:
    glo.trackers.{callback}()
except glo.errors.ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "callback"),
    [("tensorboard", "TensorBoardCallback"), ("mlflow", "MLflowCallback"), ("wandb", "WandbCallback")],
)
def test_a_missing_library(module: str, callback: str) -> None:
    code = MISSING.format(module=module, callback=callback)
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.startswith(f"{callback} needs {module}: pip install 'glo-torch[{module}]' (")
