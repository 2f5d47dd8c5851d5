"""The job scripts for batch systems, without one; and how a job assigns its GPUs to trainings."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dask_jobqueue", reason="a cluster needs glo-torch[cluster]")

import dask.config

from cluster.commands import PATIENCE
from glo.errors import ConfigError
from glo.execution.dask import ClusterConfig, write_certificates
from glo.execution.dask.certificates import security_options
from glo.execution.dask.config import HTCondorConfig, SlurmConfig
from glo.execution.dask.start import close, settings, start
from glo.execution.dask.worker import free_gpus, leased_gpu

pytestmark = pytest.mark.cluster


def script(config: ClusterConfig, folder: Path) -> str:
    """The script of a job that is not submitted."""
    write_certificates(folder)
    config = config.model_copy(update={"log_directory": folder / "logs"})
    with dask.config.set(settings(config)):
        cluster: Any = start(config, {} if config.insecure else security_options(folder), folder)
        try:
            return cluster.job_script()
        finally:
            close(cluster)


def test_slurm(tmp_path: Path) -> None:
    config = SlurmConfig(
        cores=8, gpus=2, memory="16 GiB", queue="gpu", account="me", walltime="02:00:00",
        directives=("--constraint=v100",), prologue=("module load cuda",), python="/opt/python",
    )  # fmt: skip
    lines = script(config, tmp_path).splitlines()
    for line in ("-p gpu", "-A me", "--cpus-per-task=8", "--mem=16G", "-t 02:00:00", "--gres=gpu:2", "--constraint=v100"):
        assert f"#SBATCH {line}" in lines
    assert lines.index("export DASK_DISTRIBUTED__WORKER__DAEMON=False") < lines.index("module load cuda")
    command = lines[-1]
    assert command.startswith("/opt/python -m distributed.cli.dask_worker tls://127.0.0.1:")
    for part in ("--nthreads 2", "--host 127.0.0.1", "--no-dashboard", f"--tls-key {tmp_path}/key.pem"):
        assert part in command


def test_htcondor(tmp_path: Path) -> None:
    config = HTCondorConfig(cores=4, gpus=1, disk="2 GiB", directives=("+Flock = true", "RequestCpus=6"))
    lines = script(config, tmp_path).splitlines()
    for line in ("request_gpus = 1", "+Flock = true", "RequestCpus = 6", f"MY.DaskWorkerDisk = {2 * 2**30}"):
        assert line in lines
    (arguments,) = [line for line in lines if line.startswith("Arguments")]
    assert "export DASK_DISTRIBUTED__WORKER__DAEMON=False; " in arguments
    assert "--nthreads 1" in arguments
    assert f"--tls-ca-file {tmp_path}/ca.pem" in arguments


def test_a_directive_of_htcondor_is_a_pair(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a directive of HTCondor is KEY = VALUE, not 'flock'"):
        script(HTCondorConfig(directives=("flock",)), tmp_path)


def test_plain_text_only_if_it_is_allowed(tmp_path: Path) -> None:
    text = script(SlurmConfig(insecure=True), tmp_path)
    assert "tcp://127.0.0.1:" in text
    assert "tls" not in text


@pytest.fixture(autouse=True)
def _other_gpus() -> Iterator[None]:
    free_gpus.cache_clear()
    yield
    free_gpus.cache_clear()


def test_each_training_of_a_job_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job names the GPUs; a third training waits until one is free."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, GPU-b")
    third: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def take() -> None:
        with leased_gpu() as gpu:
            third.put(gpu)

    waiting = threading.Thread(target=take)
    with leased_gpu() as one:
        with leased_gpu() as other:
            assert {one, other} == {"GPU-a", "GPU-b"}
            waiting.start()
            with pytest.raises(queue.Empty):
                third.get(timeout=0.2)
        assert third.get(timeout=PATIENCE) == other
    waiting.join()


@pytest.mark.parametrize("visible", [None, "", " "])
def test_without_gpus_none_is_assigned(visible: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with leased_gpu() as one, leased_gpu() as other:
        assert one is None
        assert other is None
