"""An experiment that is interrupted on a cluster goes on with the recorded results: no ended training is lost."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import psutil

from cluster.commands import EXPERIMENT, PATIENCE, TRAININGS, numbers, own_scheduler, run, start, wait_for_rows, wait_until
from images import need
from outside import rows

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The experiment on this machine, without interruption."""
    need("mnist")
    code, out, err = run(*EXPERIMENT, folder=tmp_path_factory.mktemp("whole"))
    assert code == 0, err
    return json.loads(out)


def distinct(experiment: dict[str, Any]) -> int:
    """The number of different trainings of an experiment: two blocks may request the same one."""
    return len({json.dumps({**training, "block": ""}) for training in experiment["runs"]})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_experiment_goes_on_with_the_recorded_results(
    how: signal.Signals, whole: dict[str, Any], tmp_path: Path
) -> None:
    """After Ctrl-C the command says how to go on; a driver that is killed cannot.  No process is left over."""
    storage = tmp_path / "results" / "glo.db"
    process = start(*EXPERIMENT, "--cluster", "local:2", folder=tmp_path)
    try:
        wait_for_rows(process, storage, TRAININGS)
        processes = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    wait_until(lambda: not [child for child in processes if child.is_running() and child.status() != "zombie"], "orphans")
    assert 0 < rows(storage, TRAININGS) < distinct(whole)
    assert out == ""
    again = EXPERIMENT
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in err
        again = [*shlex.split(err.partition("Go on with: glo ")[2]), "--json", "--quiet"]
        assert {"local:2", "cpu"} <= set(again)
    code, out, err = run(*again, folder=tmp_path)
    assert (code, err) == (0, "")
    assert numbers(json.loads(out)) == numbers(whole)


def test_losing_the_scheduler_ends_an_experiment_and_keeps_its_results(whole: dict[str, Any], tmp_path: Path) -> None:
    storage = tmp_path / "results" / "glo.db"
    with own_scheduler(tmp_path) as (address, scheduler):
        process = start(*EXPERIMENT, "--cluster", address, folder=tmp_path)
        wait_for_rows(process, storage, TRAININGS)
        scheduler.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    gone = "Error: the scheduler of the cluster is gone; finished trainings are kept: go on with glo experiment"
    assert err.startswith(gone)
    assert err.count("\n") == 1
    assert 0 < rows(storage, TRAININGS) < distinct(whole)
    code, out, err = run(*EXPERIMENT, folder=tmp_path)
    assert code == 0, err
    assert numbers(json.loads(out)) == numbers(whole)
