"""Comparisons, the demo, and parts of experiments on a cluster: the numbers of one machine, even if workers die."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

from cluster.commands import EXPERIMENT, TRAININGS, numbers, run
from cluster.processes import workers_killed
from glo.compare import ComparisonConfig, compare_losses
from glo.execution import Where, open_executor
from glo.paper.experiment.accuracy import LOSSES
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.searches import SearchPlan, search
from glo.store import Store
from outside import rows

pytestmark = pytest.mark.cluster
SMALL = ["--steps", "20,40", "--learning-rates", "0.1,0.3", "--tuning-seeds", "1", "--repeats", "2", "--smoothings", "0.2"]
COMPARE = ["compare", "baikal", "--quiet", "--task", "digits", *SMALL, "--device", "cpu", "--json"]
DEMO = ["demo", "--quiet", "--generations", "1", "--population", "6", "--steps", "60", "--repeats", "2", "--json"]
# Trainings long enough to be killed in their middle, a few times.
CONFIG = ComparisonConfig(steps=(500, 1000), learning_rates=(0.1, 0.3, 1.0), tuning_seeds=2, repeats=3, smoothings=(0.2,))
PLAN = Plan(task="digits", fractions=(0.5, 1), steps=(100, 200), n=3, ladder=(0.1, 1))
SEARCH = SearchPlan(preset="default", task="digits", generations=1, population=8, steps=100, ladder=(0.1, 1))


def measured(folder: Path, cluster: Where) -> tuple[Any, Any, str]:
    """The parts of an experiment: a search, and losses measured under several conditions; and the list of trainings."""
    folder.mkdir(exist_ok=True)
    store = Store(folder / "glo.db")
    try:
        with open_executor(cluster, "cpu") as executor:
            context = ExperimentContext(folder / "glo.db", store, executor=executor)
            result = search(context, SEARCH)
            return measure_conditions(context, PLAN, LOSSES), context.runs, result.history_digest()
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
    whole = compare_losses("digits", ["baikal"], CONFIG, device="cpu")
    with open_executor("local:2", "cpu") as executor, workers_killed(3) as killed:
        interrupted = compare_losses("digits", ["baikal"], CONFIG, cluster=executor)
    assert len(killed) >= 2
    assert numbers(interrupted.to_dict()) == numbers(whole.to_dict())


def test_measurements_and_a_search_on_one_cluster(tmp_path: Path) -> None:
    """An open cluster serves several; the list of trainings has the order of one machine, too."""
    here = measured(tmp_path / "here", None)
    with open_executor("local:2", "cpu") as executor:
        there = measured(tmp_path / "there", executor)
        again = measured(tmp_path / "there", executor)
    assert json.dumps(there) == json.dumps(here) == json.dumps(again)
    assert measured(tmp_path / "there", None) == there


@pytest.mark.parametrize("command", [COMPARE, DEMO, EXPERIMENT], ids=["compare", "demo", "experiment"])
def test_a_cluster_that_cannot_be_used_is_an_error_before_anything_is_done(command: list[str], tmp_path: Path) -> None:
    """The results of an earlier run are left alone."""
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
