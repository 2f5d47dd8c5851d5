"""Configurations of clusters, hosts files and certificates, and the errors in them; no cluster is started here."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glo.errors import ConfigError
from glo.execution.dask import ClusterConfig, read_cluster, write_certificates
from glo.execution.dask.certificates import security_options
from glo.execution.dask.config import (
    KINDS,
    AddressConfig,
    HTCondorConfig,
    LocalConfig,
    SlurmConfig,
    SSHConfig,
)
from glo.execution.dask.hosts import Host, only_here, read_hosts


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("local:3", LocalConfig(workers=3)),
        ("local", LocalConfig(workers=1)),
        ("tcp://node:8786", AddressConfig(address="tcp://node:8786")),
        ("tls://[::1]:8786", AddressConfig(address="tls://[::1]:8786")),
        ("ssh:machines/hosts.txt", SSHConfig(hosts=Path("machines/hosts.txt"))),
        ("slurm", SlurmConfig()),
        ("htcondor", HTCondorConfig()),
    ],
)
def test_texts(text: str, config: ClusterConfig) -> None:
    assert read_cluster(text) == config
    assert read_cluster(config) == config
    assert read_cluster(text, insecure=True) == config.model_copy(update={"insecure": True})
    assert read_cluster(config, insecure=True).insecure
    assert not config.insecure


@pytest.mark.parametrize("text", ["", "local:x", "local:-1", "pbs", "ssh:", "ssh", "http://node:1", "cluster.yaml"])
def test_other_texts_are_refused_and_the_choices_named(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"there is no cluster '{re.escape(text)}'.*local:N.*TOML"):
        read_cluster(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local:0", "option 'workers': .*greater than 0"),
        ("tcp://node", "tls://HOST:PORT or tcp://HOST:PORT, not 'tcp://node'"),
        ("tls://:8786", "not 'tls://:8786'"),
        ("missing.toml", "missing.toml cannot be read"),
    ],
)
def test_bad_values_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_cluster(text)


def test_a_file_has_every_option_of_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(
        'kind = "slurm"\ncores = 8\nmemory = "16 GiB"\nwalltime = "02:00:00"\nqueue = "gpu"\naccount = "me"\ngpus = 2\n'
        'directives = ["--constraint=v100"]\nprologue = ["module load cuda"]\nmin_jobs = 2\nmax_jobs = 5\n'
        'host = "10.0.0.1"\nshared = "/scratch"\ntime_limit = 60\nretries = 2\nallowed_failures = 30\npatience = 7200\n'
    )
    config = read_cluster(str(file))
    assert isinstance(config, SlurmConfig)
    assert (config.cores, config.slots, config.max_jobs, config.directives) == (8, 2, 5, ("--constraint=v100",))
    assert (config.time_limit, config.retries, config.allowed_failures, config.patience) == (60.0, 2, 30, 7200.0)
    assert SlurmConfig(cores=4).slots == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give kind, one of local, address, ssh, slurm, htcondor$"),
        ('kind = "pbs"', "give kind, .*, not 'pbs'"),
        ('kind = "slurm"\ncors = 2', "there is no option 'cors'; known here: .*cores"),
        ('kind = "local"\nqueue = "x"', "there is no option 'queue'; known here: .*workers"),
        ('kind = "slurm"\ncores = 0', "option 'cores'"),
        ('kind = "slurm"\nmin_jobs = 3\nmax_jobs = 2', "min_jobs is 3 and max_jobs only 2"),
        ('kind = "ssh"', "option 'hosts': Field required"),
        ("kind = ", "is not TOML"),
    ],
)
def test_bad_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_cluster(str(file))


def test_configurations_are_frozen_and_their_kinds_are_their_names() -> None:
    for kind, config in KINDS.items():
        assert config.model_fields["kind"].default == kind
    with pytest.raises(ValueError, match="frozen"):
        LocalConfig().workers = 3


def test_a_file_of_machines(tmp_path: Path) -> None:
    file = tmp_path / "hosts.txt"
    file.write_text("# ours\none\n\n me@two:2222 slots=4  # the big one\n10.0.0.3 gpus=2\n[fe80::1]:22\n")
    assert read_hosts(file) == [
        Host("one", {}),
        Host("two", {"username": "me", "port": 2222}, slots=4),
        Host("10.0.0.3", {}, gpus=2),
        Host("fe80::1", {"port": 22}),
    ]


@pytest.mark.parametrize("line", ["one two", "one slots=x", "one slot=2", "one:port", "@one", "one slots"])
def test_a_wrong_line_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "hosts.txt"
    file.write_text(f"good\n{line}\n")
    with pytest.raises(ConfigError, match=rf"hosts.txt, line 2: a machine is .*, not '{re.escape(line)}'"):
        read_hosts(file)


def test_a_hosts_file_without_a_machine(tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text("# none\n")
    for name, message in (("hosts.txt", "names no machine"), ("missing.txt", "cannot be read")):
        with pytest.raises(ConfigError, match=message):
            read_hosts(tmp_path / name)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("[::1]", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens there
        ("192.0.2.1", False),
    ],
)
def test_only_here(host: str, here: bool) -> None:
    assert only_here(host) is here


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"there is no host 'nowhere\.invalid'"):
        only_here("nowhere.invalid")


class TestCertificates:
    """The certificates that `glo cluster certs` creates."""

    @pytest.fixture(autouse=True)
    def _needs_cryptography(self) -> None:
        pytest.importorskip("cryptography", reason="certificates need glo-torch[cluster]")

    def test_only_their_owner_can_read_them(self, tmp_path: Path) -> None:
        folder = tmp_path / "certs"
        write_certificates(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600

    def test_the_certificate_is_signed_by_its_authority_and_no_other(self, tmp_path: Path) -> None:
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        for name in ("one", "other"):
            write_certificates(tmp_path / name, days=2)
        own, authority, other = (
            x509.load_pem_x509_certificate((tmp_path / name).read_bytes())
            for name in ("one/cert.pem", "one/ca.pem", "other/ca.pem")
        )
        own.verify_directly_issued_by(authority)
        with pytest.raises(InvalidSignature):
            own.verify_directly_issued_by(other)
        assert (own.not_valid_after_utc - own.not_valid_before_utc).days == 2
        assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    def test_existing_ones_are_not_overwritten(self, tmp_path: Path) -> None:
        write_certificates(tmp_path)
        before = (tmp_path / "key.pem").read_bytes()
        with pytest.raises(ConfigError, match=r"ca\.pem exists already"):
            write_certificates(tmp_path)
        assert (tmp_path / "key.pem").read_bytes() == before

    def test_a_key_that_other_users_can_read_is_refused(self, tmp_path: Path) -> None:
        write_certificates(tmp_path)
        assert security_options(tmp_path)["tls_worker_key"] == str(tmp_path / "key.pem")
        (tmp_path / "key.pem").chmod(0o640)
        with pytest.raises(ConfigError, match=r"other users can read .*key\.pem: chmod 600"):
            security_options(tmp_path)

    def test_missing_ones_are_named_with_the_command_that_creates_them(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"there is no .*ca\.pem: create it with glo cluster certs"):
            security_options(tmp_path)


# Hides the packages of glo-torch[cluster], which may be installed here.
WITHOUT = """
import sys
for name in ("asyncssh", "cryptography", "dask", "dask_jobqueue", "distributed"):
    sys.modules[name] = None
from glo.cli.app import main
sys.argv = ["glo", *sys.argv[1:]]
main()
"""


def without_dask(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command: list[Any] = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_glo_works_without_dask(tmp_path: Path) -> None:
    search = ["search", "--task", "digits", "--generations", "1", "--population", "4", "--steps", "5", "--device", "cpu"]
    done = without_dask(*search, "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for refused in (
        without_dask(*search, "--name", "other", "--cluster", "local:2", folder=tmp_path),
        without_dask("cluster", "check", "local:1", folder=tmp_path),
        without_dask("cluster", "certs", folder=tmp_path),
    ):
        assert refused.returncode == 2
        assert "pip install 'glo-torch[cluster]'" in refused.stderr
        assert refused.stderr.count("\n") == 1
