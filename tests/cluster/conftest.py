"""The real services that cluster tests run against: each is installed and started when a test first asks for it.

The tests of a service that is not available here are skipped, with the reason; if `GLO_REQUIRE_SERVICES` lists it, as in
`GLO_REQUIRE_SERVICES=sshd,slurm,postgresql`, they fail instead.  Services that `GLO_SKIP_SERVICES` lists are not tried.  All
are stopped at the end of the session.

Several processes may share the tests (`make test-cluster`): the tests of one service run in the same process, and so do the
tests of one file, which share clusters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.clusters import KINDS, Cluster
from cluster.commands import SEARCH, run
from cluster.services import htcondor, postgresql, slurm, sshd
from cluster.services.provide import provided


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.xdist_group(together(item)))


def together(item: pytest.Item) -> str:
    """The service that a test needs, by the test's name or fixtures; else its file."""
    names = " ".join([item.name, *getattr(item, "fixturenames", [])])
    return next((service for service in ("htcondor", "slurm", "ssh", "postgresql") if service in names), item.path.name)


@pytest.fixture(scope="session", name="sshd")
def sshd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    """A private sshd on loopback."""
    with provided("sshd", sshd.serve(tmp_path_factory.mktemp("sshd"))) as service:
        yield service


@pytest.fixture(scope="session", name="postgresql")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Postgresql]:
    """A private PostgreSQL on loopback; `new_database()` gives the URL of an empty database."""
    with provided("postgresql", postgresql.serve(tmp_path_factory.mktemp("postgresql"))) as service:
        yield service


@pytest.fixture(scope="session")
def slurm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    with provided("slurm", slurm.serve(tmp_path_factory.mktemp("slurm"))) as service:
        yield service


@pytest.fixture(scope="session")
def htcondor_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[htcondor.HTCondor]:
    with provided("htcondor", htcondor.serve(tmp_path_factory.mktemp("htcondor"))) as service:
        yield service


@pytest.fixture(name="slurm")
def slurm_for_a_test(slurm_server: slurm.Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[slurm.Slurm]:
    """A private SLURM with an empty queue, to which sbatch, squeue and scancel of this process talk."""
    for name, value in slurm_server.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_server
    slurm_server.cancel_all()


@pytest.fixture(name="htcondor")
def htcondor_for_a_test(htcondor_server: htcondor.HTCondor, monkeypatch: pytest.MonkeyPatch) -> Iterator[htcondor.HTCondor]:
    """A private HTCondor with an empty queue, to which condor_submit, condor_q and condor_rm of this process talk."""
    for name, value in htcondor_server.environment.items():
        monkeypatch.setenv(name, value)
    yield htcondor_server
    htcondor_server.cancel_all()


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """A cluster, by its name in `clusters.KINDS`."""
    return KINDS[request.param](tmp_path, request)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the history of `SEARCH` on this machine without interruption."""
    code, out, err = run(*SEARCH, "--json", folder=tmp_path_factory.mktemp("whole"))
    assert code == 0, err
    return json.loads(out)["history_digest"]
