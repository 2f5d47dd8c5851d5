"""Every experiment at its smallest scale, on real images: what it writes, and that it goes on where it stopped.

The images are the first few hundred of each split of the official ones.  Tests that need images are skipped, with the
reason, where there are none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from glo.errors import ConfigError, DataError
from glo.execution import local, work
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Scale, as_json, experiment_names, load_experiment, run_experiment
from glo.paper.mnist_curves import roughness, steps_to
from glo.paper.output_histograms import shape_of
from glo.records import Training
from glo.store import Store
from glo.tasks import Task, load_task, with_first_samples
from images import IMAGES, need

NAMES = experiment_names()
NEEDS = {"binary-losses": None, "cifar-transfer": "cifar10"}  # others need MNIST


def made(name: str, out: Path) -> dict[str, Any]:
    """An experiment at the scale of smoke, made in a folder; trained in this process, where tests count the trainings."""
    need(NEEDS.get(name, "mnist"))
    with closing(Store(out / "glo.db")) as store:
        context = ExperimentContext(out / "glo.db", store, data_dir=IMAGES, executor=local.InlineExecutor())
        return run_experiment(name, "smoke", out, context)


def test_all_of_the_paper_is_there() -> None:
    assert NAMES == [
        "binary-losses", "cifar-transfer", "discovery", "mnist-accuracy", "mnist-curves", "mnist-data", "noise",
        "output-histograms",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name: str, tmp_path: Path) -> None:
    results = made(name, tmp_path)
    assert json.loads((tmp_path / f"{name}-smoke.json").read_text()) == json.loads(json.dumps(results))
    origin = results["provenance"]
    assert origin["command"] == f"glo experiment run {name} --scale smoke --seed 0 --device cpu"
    assert {"versions", "hardware", "commit", "finished"} <= origin.keys()
    assert str(tmp_path) not in (tmp_path / f"{name}-smoke.json").read_text()
    for sheet in load_experiment(name).tables(results):
        assert sheet.markdown() in (tmp_path / f"{name}-smoke.md").read_text()
    with Image.open(tmp_path / f"{name}-smoke.png") as picture:
        assert picture.width > 500
    assert "<svg" in (tmp_path / f"{name}-smoke.svg").read_text()
    for row in results["runs"]:
        assert row["status"] in ("trained", "diverged", "crashed", "timed out")
        if row["status"] == "trained":
            assert 0 <= row["validation"] <= 1


def test_a_second_time_nothing_is_trained_and_the_numbers_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made("mnist-accuracy", tmp_path)

    def refuse(*_: Any) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(work, "train_networks", refuse)
    assert made("mnist-accuracy", tmp_path)["runs"] == first["runs"]
    assert made("mnist-curves", tmp_path)["conditions"] == first["conditions"]


def test_an_interrupted_experiment_goes_on_with_the_trainings_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("mnist")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    whole = made("mnist-accuracy", tmp_path / "a")
    parts: list[int] = []
    plain = work.train_networks

    def counting(task: Task, trainings: Sequence[Training], *arguments: Any) -> Any:
        parts.append(len(trainings))
        if len(parts) == 5:
            raise KeyboardInterrupt
        return plain(task, trainings, *arguments)

    monkeypatch.setattr(work, "train_networks", counting)
    with pytest.raises(KeyboardInterrupt):
        made("mnist-accuracy", tmp_path / "b")
    assert not list((tmp_path / "b").glob("*.json"))
    resumed = made("mnist-accuracy", tmp_path / "b")
    assert resumed["runs"] == whole["runs"]
    assert sum(parts) - parts[4] == len({json.dumps({**run, "commit": "", "block": ""}) for run in whole["runs"]})


def test_the_minima_are_the_papers(tmp_path: Path) -> None:
    losses = made("binary-losses", tmp_path)["losses"]
    assert losses["baikal"]["minimum"] == pytest.approx(1 / math.sqrt(2), abs=1e-6)
    assert losses["baikal_cma"]["minimum"] == pytest.approx(0.77, abs=0.005)
    assert losses["cross_entropy"]["minimum"] == 1


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize("name", NAMES)
def test_settings_are_json(name: str, scale: Scale) -> None:
    setting = load_experiment(name).scales[scale]
    assert type(setting).model_validate_json(setting.model_dump_json()) == setting


def test_misuse_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "glo.db")
    context = ExperimentContext(tmp_path / "glo.db", store, data_dir=tmp_path)
    with pytest.raises(ConfigError, match="there is no experiment 'fig9'; experiments are binary-losses"):
        run_experiment("fig9", "smoke", tmp_path, context)
    with pytest.raises(ConfigError, match="there is no scale 'huge'; scales are smoke, small, paper"):
        run_experiment("noise", "huge", tmp_path, context)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is neither in"):
        run_experiment("mnist-accuracy", "smoke", tmp_path, context)
    store.close()
    assert [path.name for path in tmp_path.iterdir() if "glo.db" not in path.name] == []


def test_json_has_a_line_for_each_training() -> None:
    results = {"a": {"b": [1, 2]}, "runs": [{"seed": 1}, {"seed": 2}], "history": []}
    assert json.loads(as_json(results)) == results
    assert '\n    {"seed": 1},\n    {"seed": 2}\n' in as_json(results)


def test_what_a_curve_says() -> None:
    curve = [[100.0, 0.5], [200.0, 0.9], [300.0, 0.8], [400.0, 0.9]]
    assert steps_to(curve, 0.9) == "200"
    assert steps_to(curve, 0.95) == "never"
    assert roughness([[n, 0.1 * n] for n in range(10)]) == pytest.approx(0, abs=1e-12)
    assert roughness([[n, float(n % 2)] for n in range(12)]) == pytest.approx(2)


def test_what_a_histogram_says() -> None:
    counts = [60] + [0] * 14 + [30] + [0] * 33 + [10]
    assert shape_of(counts) == pytest.approx((0.31, 0.6, 0.1))


def test_a_subset_keeps_the_first_samples() -> None:
    task = load_task("digits")
    few = with_first_samples(task, 30)
    for name in ("train", "validation", "test"):
        assert few.split(name).inputs.equal(task.split(name).inputs[:30])
        assert few.split(name).targets.equal(task.split(name).targets[:30])
