"""An experiment that is interrupted on a cluster goes on with what had arrived: nothing that ended is lost."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

import psutil

from cluster.commands import EXPERIMENT, PATIENCE, TRAININGS, numbers, run, standing, start, wait_for_rows, wait_until
from images import need
from outside import rows

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The experiment that is never interrupted, on this machine."""
    need("mnist")
    code, out, err = run(*EXPERIMENT, folder=tmp_path_factory.mktemp("whole"))
    assert code == 0, err
    return json.loads(out)


def distinct(experiment: dict[str, Any]) -> int:
    """How many trainings an experiment is made of: the same one may be asked for in two blocks."""
    return len({json.dumps({**training, "block": ""}) for training in experiment["runs"]})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_experiment_goes_on_with_what_arrived(
    how: signal.Signals, whole: dict[str, Any], tmp_path: Path
) -> None:
    """Ctrl-C says how to go on; a driver that is killed cannot.  No process is left over."""
    storage = tmp_path / "results" / "glo.db"
    process = start(*EXPERIMENT, "--cluster", "local:2", folder=tmp_path)
    try:
        wait_for_rows(process, storage, TRAININGS)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    wait_until(lambda: not [child for child in family if child.is_running() and child.status() != "zombie"], "orphans")
    assert 0 < rows(storage, TRAININGS) < distinct(whole)
    assert out == ""
    again = EXPERIMENT
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in err
        again = [*shlex.split(err.partition("Go on with: glo ")[2]), "--json"]
        assert {"local:2", "cpu"} <= set(again)
    code, out, err = run(*again, folder=tmp_path)
    assert (code, err) == (0, "")
    assert numbers(json.loads(out)) == numbers(whole)


def test_a_scheduler_that_goes_ends_an_experiment_and_what_arrived_is_kept(whole: dict[str, Any], tmp_path: Path) -> None:
    storage = tmp_path / "results" / "glo.db"
    with standing(tmp_path) as (address, scheduler):
        process = start(*EXPERIMENT, "--cluster", address, folder=tmp_path)
        wait_for_rows(process, storage, TRAININGS)
        scheduler.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("Error: the scheduler of the cluster is gone; what has ended is kept: go on with glo experiment")
    assert err.count("\n") == 1
    assert 0 < rows(storage, TRAININGS) < distinct(whole)
    code, out, err = run(*EXPERIMENT, folder=tmp_path)
    assert code == 0, err
    assert numbers(json.loads(out)) == numbers(whole)
