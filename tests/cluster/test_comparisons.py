"""Comparisons, the demo, and what experiments are made of, on a cluster: the numbers of one machine, whatever dies."""

from __future__ import annotations

import json
import socket
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

import psutil

from cluster.commands import EXPERIMENT, TRAININGS, numbers, run, wait_until
from cluster.family import workers, workers_killed
from glo.compare.comparison import Study, compare_losses
from glo.errors import ClusterError
from glo.execution import Where, trainers
from glo.execution.concurrent import workplace
from glo.paper.experiment.accuracy import LOSSES
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import Lab
from glo.paper.experiment.searches import SearchPlan, search
from glo.store import Store
from outside import rows

pytestmark = pytest.mark.cluster
SMALL = ["--steps", "20,40", "--learning-rates", "0.1,0.3", "--tuning-seeds", "1", "--repeats", "2", "--smoothings", "0.2"]
COMPARE = ["compare", "baikal", "--task", "digits", *SMALL, "--device", "cpu", "--json"]
DEMO = ["demo", "--generations", "1", "--population", "6", "--steps", "60", "--repeats", "2", "--json"]
STUDY = Study(steps=(150, 300), learning_rates=(0.1, 0.3, 1.0), tuning_seeds=2, repeats=3, smoothings=(0.2,))
PLAN = Plan(task="digits", fractions=(0.5, 1), steps=(100, 200), n=3, ladder=(0.1, 1))
SEARCH = SearchPlan(preset="default", task="digits", generations=1, population=8, steps=100, ladder=(0.1, 1))


def measured(folder: Path, cluster: Where) -> tuple[Any, Any, str]:
    """What an experiment is made of: a search, and losses measured under several conditions; and its trainings."""
    folder.mkdir(exist_ok=True)
    store = Store(folder / "glo.db")
    try:
        with workplace(cluster, "cpu") as place:
            lab = Lab(folder / "glo.db", store, 0, place)
            (found,) = lab.each(search, [SEARCH])
            return measure_conditions(lab, PLAN, LOSSES), lab.runs, found.history_digest()
    finally:
        store.close()


def test_compare_on_a_cluster_prints_the_same(tmp_path: Path) -> None:
    here, there = (run(*COMPARE, *where, folder=tmp_path) for where in ([], ["--cluster", "local:2"]))
    assert (here[0], there[0], there[2]) == (0, 0, "")
    assert numbers(json.loads(there[1])) == numbers(json.loads(here[1]))
    assert json.loads(there[1])["cluster"] is True
    assert not list(tmp_path.glob(".glo-certs*"))


def test_the_demo_on_a_cluster_prints_the_same(tmp_path: Path) -> None:
    here, there = (run(*DEMO, *where, folder=tmp_path) for where in ([], ["--cluster", "local:2"]))
    assert (here[0], there[0], there[2]) == (0, 0, ""), there
    assert numbers(json.loads(there[1])) == numbers(json.loads(here[1]))


def test_a_comparison_with_workers_killed_again_and_again() -> None:
    """`kill -9` of a worker while a child of it trains."""
    whole = compare_losses("digits", ["baikal"], STUDY, device="cpu")
    with trainers("local:2", "cpu") as make_trainer, workers_killed(3) as killed:
        shot = compare_losses("digits", ["baikal"], STUDY, cluster=make_trainer)
    assert len(killed) >= 2
    assert numbers(shot) == numbers(whole)


def test_measurements_and_a_search_on_one_cluster(tmp_path: Path) -> None:
    """A cluster that is open serves several; the order in the record of the trainings is that of one machine too."""
    here = measured(tmp_path / "here", None)
    with trainers("local:2", "cpu") as make_trainer:
        there = measured(tmp_path / "there", make_trainer)
        again = measured(tmp_path / "there", make_trainer)
    assert json.dumps(there) == json.dumps(here) == json.dumps(again)
    assert measured(tmp_path / "there", None) == there


@pytest.mark.parametrize("command", [COMPARE, DEMO, EXPERIMENT], ids=["compare", "demo", "experiment"])
def test_a_cluster_that_cannot_be_used_is_said_before_anything_is_done(command: list[str], tmp_path: Path) -> None:
    """What is there of an earlier time is left alone."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("earlier")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code, printed, err = run(*command, "--out", str(out), "--cluster", f"tcp://127.0.0.1:{port}", folder=tmp_path)
    assert (code, printed) == (2, "")
    assert err.startswith(f"Error: there is no scheduler at tcp://127.0.0.1:{port}")
    assert err.count("\n") == 1
    assert (out / "summary.json").read_text() == "earlier"
    assert {path.name for path in out.iterdir() if not path.name.startswith("glo.db")} == {"summary.json"}
    assert rows(out / "glo.db", TRAININGS) == 0


def test_plain_text_on_a_public_network_needs_insecure(tmp_path: Path) -> None:
    code, out, err = run(*COMPARE, "--cluster", "tcp://192.0.2.1:8786", folder=tmp_path)
    assert (code, out) == (2, "")
    assert "plain text" in err
    assert "--insecure" in err
    assert not list(tmp_path.iterdir())


def test_who_leaves_early_leaves_at_once(tmp_path: Path) -> None:
    """However long the trainings would have taken: the threads that wait for them end with the cluster."""
    endless = Plan(task="digits", fractions=(0.5, 1), steps=(10**7,), n=1, ladder=(0.1, 1))
    store = Store(tmp_path / "glo.db")
    waiting: list[Future[Any]] = []
    with workplace("local:2", "cpu") as place:
        assert place.pool is not None
        lab = Lab(tmp_path / "glo.db", store, 0, place)
        waiting.append(place.pool.submit(measure_conditions, lab, endless, LOSSES))
        wait_until(lambda: any(worker.children() for worker in workers(psutil.Process())))
    with pytest.raises(ClusterError, match="the scheduler of the cluster is gone"):
        waiting[0].result(timeout=0)
    store.close()
