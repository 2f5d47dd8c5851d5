"""A driver that is killed, a scheduler that is gone, a peer without a certificate: real processes, as a user starts them."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import psutil

from cluster.clusters import Cluster
from cluster.commands import (
    PATIENCE,
    SEARCH,
    TRAINED,
    environment,
    gone,
    own_scheduler,
    run,
    start,
    started,
    wait_for_rows,
    wait_until,
)
from cluster.processes import listening, nannies, workers
from glo.errors import ClusterError, ConfigError
from glo.execution import Batch, InlineExecutor, open_executor, train
from glo.execution.dask import cluster_executor, read_cluster, write_certificates
from glo.execution.dask.config import AddressConfig, LocalConfig
from glo.expr import parse
from glo.records import Stage, Training, TrainingConfig
from glo.store import Store
from glo.study import recorded_result
from glo.tasks import load_task
from outside import GENERATIONS, rows

pytestmark = pytest.mark.cluster


def one_training() -> Batch:
    """A training that takes a moment."""
    return Batch(load_task("digits"), TrainingConfig(steps=5), [Training(parse("x*log(y)"), 0.1)], seeds=[0])


@pytest.mark.parametrize("cluster", ["here", "local", "ssh", "slurm"], indirect=True)
def test_a_driver_killed_within_a_generation_loses_no_ended_training(cluster: Cluster, whole: str, tmp_path: Path) -> None:
    """It leaves no processes behind, and no jobs in a queue."""
    storage = tmp_path / "glo.db"
    with started(*SEARCH, *cluster.options, folder=tmp_path) as process:
        driver = psutil.Process(process.pid)
        wait_for_rows(process, storage, TRAINED)
        driver.suspend()  # while its processes are collected
        processes = [*driver.children(recursive=True), *nannies(driver), *workers(driver)]
        assert len(processes) >= (4 if cluster.options else 0)
    remembered = rows(storage, TRAINED)
    assert remembered
    assert rows(storage, GENERATIONS) == 0
    wait_until(lambda: all(map(gone, processes)) and not cluster.jobs(), "orphans")

    code, out, err = run("resume", "run", "--baselines", "none", "--json", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["history_digest"] == whole
    store = Store(storage, create=False)
    first = recorded_result(store, "run").history[0]
    store.close()
    assert first.funnel[Stage.CACHE].rejected >= remembered
    assert first.funnel[Stage.EARLY_STOP].candidates <= 3 * len(first.outcomes) - remembered


@pytest.mark.parametrize("cluster", ["ssh_impatient"], indirect=True)
def test_losing_all_machines_is_an_error_of_one_line_and_the_run_goes_on(
    cluster: Cluster, whole: str, tmp_path: Path
) -> None:
    with started(*SEARCH, *cluster.options, folder=tmp_path) as process:
        driver = psutil.Process(process.pid)
        wait_for_rows(process, tmp_path / "glo.db", TRAINED)
        for each in [*workers(driver), *nannies(driver)]:
            each.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "Error: the cluster has had no worker for 10 s; finished trainings are kept: go on with "
        f"glo resume run --storage sqlite:///glo.db --device cpu --cluster {cluster.options[1]}\n"
    )
    code, out, err = run("resume", "run", "--baselines", "none", "--json", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["history_digest"] == whole


@pytest.mark.parametrize("comes_back", [True, False], ids=["worker comes back", "worker is gone"])
def test_a_result_that_is_lost_with_its_worker_before_it_is_fetched(
    comes_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker trains again; if there is none, the driver does not wait for ever.

    The test kills the workers of all clusters of this process: there is one.
    """
    batch = one_training()
    with cluster_executor(LocalConfig(workers=1), "cpu") as executor:
        executor._config = LocalConfig(patience=600 if comes_back else 1)  # only now that there is a worker
        client = executor._client
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
            assert train(executor, batch) == train(InlineExecutor(), batch)
        else:
            with pytest.raises(ClusterError, match="the cluster has had no worker for 1 s"):
                train(executor, batch)
        assert client.gather == gather  # `too_late` was called


def test_a_scheduler_that_dies_while_a_result_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_scheduler(tmp_path) as (address, scheduler), cluster_executor(read_cluster(address), "cpu") as executor:
        client = executor._client
        gather = client._gather

        async def too_late(future: Any, *arguments: Any, **options: Any) -> Any:
            await future._state.wait()
            scheduler.kill()
            return await gather(future, *arguments, **options)

        monkeypatch.setattr(client, "_gather", too_late)
        with pytest.raises(ClusterError, match="the scheduler of the cluster is gone"):
            train(executor, one_training())


def test_losing_the_scheduler_is_an_error_of_one_line_and_the_run_goes_on(whole: str, tmp_path: Path) -> None:
    with own_scheduler(tmp_path) as (address, scheduler):
        process = start(*SEARCH, "--cluster", address, folder=tmp_path)
        storage = tmp_path / "glo.db"
        wait_for_rows(process, storage, "SELECT * FROM fitness_cache")
        scheduler.kill()
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "Error: the scheduler of the cluster is gone; finished trainings are kept: go on with "
        f"glo resume run --storage sqlite:///glo.db --device cpu --cluster {address}\n"
    )
    code, out, err = run("resume", "run", "--baselines", "none", "--json", folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["history_digest"] == whole


@pytest.mark.parametrize("noticed", [False, True], ids=["at once", "after a while"])
def test_a_scheduler_that_dies_between_two_generations(noticed: bool, tmp_path: Path) -> None:
    """Whether or not dask's client has given up already."""
    batch = one_training()
    with own_scheduler(tmp_path) as (address, scheduler), cluster_executor(read_cluster(address), "cpu") as executor:
        assert train(executor, batch) == train(InlineExecutor(), batch)
        scheduler.kill()
        scheduler.wait()
        if noticed:
            wait_until(lambda: executor._client.status == "closed")
        with pytest.raises(ClusterError, match="the scheduler of the cluster is gone"):
            train(executor, batch)


@pytest.fixture
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask retries a connection until the timeout."""
    monkeypatch.setattr("glo.execution.dask.cluster.CONNECT_TIMEOUT", 2.0)


@pytest.mark.usefixtures("_short_timeout")
def test_a_scheduler_that_does_not_exist(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"there is no scheduler at {address}"), open_executor(address):
        pass


@pytest.mark.usefixtures("_short_timeout")
def test_only_holders_of_the_certificates_can_connect(tmp_path: Path) -> None:
    assert run("cluster", "certs", folder=tmp_path)[0] == 0
    files = [f"glo-certs/{name}.pem" for name in ("ca", "cert", "key")]
    tls = [
        part for option, file in zip(("ca-file", "cert", "key"), files, strict=True) for part in (f"--tls-{option}", file)
    ]
    with own_scheduler(tmp_path, *tls, "--protocol", "tls") as (address, _):
        assert address.startswith("tls://127.0.0.1:")
        code, out, err = run("cluster", "check", address, "--json", folder=tmp_path)
        assert code == 0, err
        found = json.loads(out)
        assert [worker["threads"] for worker in found["workers"]] == [2]
        assert found["accuracy"] > 0.5

        write_certificates(tmp_path / "others")
        other = AddressConfig(address=address, certs=tmp_path / "others")
        with pytest.raises(ClusterError, match="does not know this certificate"), open_executor(other):
            pass
        with pytest.raises(ClusterError, match="there is no scheduler"), open_executor(address.replace("tls", "tcp")):
            pass


def serves_pages(host: str, port: int) -> bool:
    """Whether a server answers a web browser."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/info/main/workers.html")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def test_everything_listens_on_this_machine_only_and_nothing_serves_pages() -> None:
    """Every listening socket of the driver and its workers: they speak TLS with those who hold the certificate."""
    me = psutil.Process()
    before, services = set(listening(me)), me.children(recursive=True)  # the services of other tests
    with open_executor("local:2", "cpu"):
        processes = [me, *(child for child in me.children(recursive=True) if child not in services)]
        addresses = {address for process in processes for address in listening(process)} - before
        assert not [address for address in addresses if serves_pages(*address)]
    assert len(addresses) == 5  # the scheduler, two nannies, two workers
    assert {host for host, _ in addresses} == {"127.0.0.1"}


def test_plain_text_on_a_public_network_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    code, out, err = run(*SEARCH, "--cluster", "tcp://192.0.2.1:8786", folder=tmp_path)
    assert (code, out) == (2, "")
    assert "plain text" in err
    assert "--insecure" in err
    assert err.count("\n") == 1
    with pytest.raises(ConfigError, match="plain text"), open_executor("tcp://0.0.0.0:8786"):
        pass


def test_a_script_without_a_main_guard_may_use_a_cluster(tmp_path: Path) -> None:
    """Workers do not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import glo\n"
        "print('started', flush=True)\n"
        "found = glo.discover('digits', generations=1, population=4, steps=20, confirm=0, device='cpu', cluster='local:1')\n"
        "print(len(found.history))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.stdout == "started\n1\n", done.stderr
