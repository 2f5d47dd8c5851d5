"""A driver that is killed, a scheduler that is gone, strangers on the network: real processes, as a user starts them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

import psutil

from cluster.commands import (
    PATIENCE,
    SEARCH,
    TRAINED,
    environment,
    gone,
    run,
    standing,
    start,
    started,
    wait_for_rows,
    wait_until,
)
from cluster.family import listening, nannies, workers
from cluster.places import Place
from glo.errors import ClusterError, ConfigError
from glo.execution import Trainer, trainers
from glo.execution.dask import write_certificates
from glo.execution.dask.config import AddressConfig, LocalConfig
from glo.expr import parse
from glo.records import Stage, TrainingConfig
from glo.store import Store
from glo.study import recorded_discovery
from glo.tasks import load_task
from glo.training import Training
from outside import GENERATIONS, rows

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("place", ["here", "local", "ssh", "slurm"], indirect=True)
def test_a_driver_killed_within_a_generation_loses_nothing_that_ended(place: Place, whole: str, tmp_path: Path) -> None:
    """And leaves nobody behind, nor jobs in a queue."""
    storage = tmp_path / "glo.db"
    with started(*SEARCH, *place.where, folder=tmp_path) as process:
        driver = psutil.Process(process.pid)
        wait_for_rows(process, storage, TRAINED)
        driver.suspend()  # while its family is looked for
        family = [*driver.children(recursive=True), *nannies(driver), *workers(driver)]
        assert len(family) >= (4 if place.where else 0)
    remembered = rows(storage, TRAINED)
    assert remembered
    assert rows(storage, GENERATIONS) == 0
    wait_until(lambda: all(map(gone, family)) and not place.jobs(), "orphans")

    code, out, err = run("resume", "run", "--json", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["history_digest"] == whole
    store = Store(storage, create=False)
    first = recorded_discovery(store, "run").history[0]
    store.close()
    assert first.funnel[Stage.CACHE].rejected >= remembered
    assert first.funnel[Stage.EARLY_STOP].candidates <= 3 * len(first.outcomes) - remembered


@pytest.mark.parametrize("place", ["ssh_impatient"], indirect=True)
def test_machines_that_are_all_gone_are_said_in_one_line_and_the_run_goes_on(
    place: Place, whole: str, tmp_path: Path
) -> None:
    with started(*SEARCH, *place.where, folder=tmp_path) as process:
        driver = psutil.Process(process.pid)
        wait_for_rows(process, tmp_path / "glo.db", TRAINED)
        for each in [*workers(driver), *nannies(driver)]:
            each.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "Error: no worker has been there for 10 s; what has ended is kept: go on with "
        f"glo resume run --storage sqlite:///glo.db --device cpu --cluster {place.where[1]}\n"
    )
    code, out, err = run("resume", "run", "--json", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["history_digest"] == whole


@pytest.mark.parametrize("comes_back", [True, False], ids=["who comes back", "who is gone"])
def test_a_result_that_goes_with_its_worker_before_it_is_fetched(comes_back: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is trained anew by a worker that comes; nobody waits for ever for one that does not.

    All clusters of this process lose their workers: there is one.
    """
    task, config, training = load_task("digits"), TrainingConfig(steps=5), Training(parse("x*log(y)"), 0.3)
    with trainers("local:1", "cpu") as make_trainer:
        trainer: Any = make_trainer(task, config)
        trainer._config = LocalConfig(patience=600 if comes_back else 1)  # only now that there is a worker
        client = trainer._client
        gather = client.gather

        def too_late(*arguments: Any, **options: Any) -> Any:
            monkeypatch.undo()
            me = psutil.Process()
            for each in [*workers(me), *([] if comes_back else nannies(me))]:
                each.kill()
                each.wait()
            return gather(*arguments, **options)

        monkeypatch.setattr(client, "gather", too_late)
        if comes_back:
            assert trainer.train([training], 0) == Trainer(task, config).train([training], 0)
        else:
            with pytest.raises(ClusterError, match="no worker has been there for 1 s"):
                trainer.train([training], 0)
        assert client.gather == gather  # it was too late


def test_a_scheduler_that_goes_is_said_in_one_line_and_the_run_goes_on(whole: str, tmp_path: Path) -> None:
    with standing(tmp_path) as (address, scheduler):
        process = start(*SEARCH, "--cluster", address, folder=tmp_path)
        storage = tmp_path / "glo.db"
        wait_for_rows(process, storage, "SELECT * FROM fitness_cache")
        scheduler.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "Error: the scheduler of the cluster is gone; what has ended is kept: go on with "
        f"glo resume run --storage sqlite:///glo.db --device cpu --cluster {address}\n"
    )
    code, out, err = run("resume", "run", "--json", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["history_digest"] == whole


@pytest.mark.parametrize("noticed", [False, True], ids=["at once", "after a while"])
def test_a_scheduler_that_goes_between_two_generations(noticed: bool, tmp_path: Path) -> None:
    """Whether or not dask's client has given up already."""
    task, training = load_task("digits"), TrainingConfig(steps=5)
    with standing(tmp_path) as (address, scheduler), trainers(address, "cpu") as make_trainer:
        trainer = make_trainer(task, training)
        assert trainer.train([Training(parse("x*log(y)"), 0.1)], 0) == Trainer(task, training).train(
            [Training(parse("x*log(y)"), 0.1)], 0
        )
        scheduler.kill()
        scheduler.wait()
        if noticed:
            client = trainer._client  # pyright: ignore[reportAttributeAccessIssue]
            wait_until(lambda: client.status == "closed")
        with pytest.raises(ClusterError, match="the scheduler of the cluster is gone"):
            trainer.train([Training(parse("x*log(y)"), 0.1)], 0)


@pytest.fixture
def _soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask goes on trying to connect for as long as it may."""
    monkeypatch.setattr("glo.execution.dask.cluster.CONNECT", 2.0)


@pytest.mark.usefixtures("_soon_given_up")
def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"there is no scheduler at {address}"), trainers(address):
        pass


@pytest.mark.usefixtures("_soon_given_up")
def test_certificates_let_their_holder_in_and_no_stranger(tmp_path: Path) -> None:
    assert run("cluster", "certs", folder=tmp_path)[0] == 0
    files = [f"glo-certs/{name}.pem" for name in ("ca", "cert", "key")]
    tls = [
        part for option, file in zip(("ca-file", "cert", "key"), files, strict=True) for part in (f"--tls-{option}", file)
    ]
    with standing(tmp_path, *tls, "--protocol", "tls") as (address, _):
        assert address.startswith("tls://127.0.0.1:")
        code, out, err = run("cluster", "check", address, "--json", folder=tmp_path)
        assert code == 0, err
        found = json.loads(out)
        assert [worker["threads"] for worker in found["workers"]] == [2]
        assert found["accuracy"] > 0.5

        write_certificates(tmp_path / "others")
        stranger = AddressConfig(address=address, certs=tmp_path / "others")
        with pytest.raises(ClusterError, match="does not know this certificate"), trainers(stranger):
            pass
        with pytest.raises(ClusterError, match="there is no scheduler"), trainers(address.replace("tls", "tcp")):
            pass


def test_everything_listens_on_this_machine_only() -> None:
    """Of the driver and its workers, whatever listens."""
    me = psutil.Process()
    before, strangers = set(listening(me)), me.children(recursive=True)  # the services of other tests
    with trainers("local:2", "cpu"):
        family = [me, *(child for child in me.children(recursive=True) if child not in strangers)]
        places = {place for process in family for place in listening(process)} - before
    assert len(places) >= 5  # the scheduler and its pages, two nannies, two workers
    assert {host for host, _ in places} == {"127.0.0.1"}


def test_plain_text_on_a_public_network_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    code, out, err = run(*SEARCH, "--cluster", "tcp://192.0.2.1:8786", folder=tmp_path)
    assert (code, out) == (2, "")
    assert "plain text" in err
    assert "--insecure" in err
    assert err.count("\n") == 1
    with pytest.raises(ConfigError, match="plain text"), trainers("tcp://0.0.0.0:8786"):
        pass


def test_a_script_without_a_main_guard_may_use_a_cluster(tmp_path: Path) -> None:
    """Workers do not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import glo\n"
        "print('begun', flush=True)\n"
        "found = glo.discover('digits', generations=1, population=4, steps=20, device='cpu', cluster='local:1')\n"
        "print(len(found.history))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.stdout == "begun\n1\n", done.stderr
