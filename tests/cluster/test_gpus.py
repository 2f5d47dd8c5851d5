"""Each training sees one GPU of those that a batch system gives to its jobs, and no two trainings see the same.

There is no GPU here: the tests look at what trainings see, and they train on the CPU.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("dask_jobqueue", reason="a cluster needs glo-torch[cluster]")

from cluster.commands import wait_until
from cluster.services.htcondor import GPUS, HTCondor
from cluster.services.slurm import Slurm
from glo.execution import Batch, open_executor, train
from glo.execution.dask.config import HTCondorConfig, JobsConfig, SlurmConfig
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import load_task

TESTS = Path(__file__).parents[1]


def seen(config: JobsConfig, folder: Path, jobs: int, gpus: int) -> set[tuple[str, str]]:
    """The worker and the GPU of each training, once trainings have seen all GPUs."""
    prologue = (f"export GLO_TEST_SEEN={folder} PYTHONPATH={TESTS}:$PYTHONPATH",)
    places = {"shared": folder, "log_directory": folder / "logs", "prologue": prologue}
    config = config.model_copy(update={"memory": "1 GiB", "gpus": gpus, "min_jobs": jobs, "max_jobs": jobs, **places})
    task, trainings = load_task("cluster.misbehaving:seen_gpus"), [Training(parse("x*log(y)"), 0.3)] * 4
    batch = Batch(task, TrainingConfig(steps=5), trainings, seeds=[0, 1, 2, 3])
    with open_executor(config, "cpu") as executor:

        def all_found() -> set[tuple[str, str]] | None:
            train(executor, batch)
            names = [path.name.rsplit("-", 2) for path in folder.glob("*-*-*") if path.is_file()]
            found = {(worker, gpu) for gpu, worker, _ in names}
            return found if len({gpu for _, gpu in found}) == jobs * gpus else None

        return wait_until(all_found, "some GPU is not used")


@pytest.mark.parametrize(("jobs", "gpus"), [(2, 1), (1, 2)], ids=["in two jobs", "in one job"])
def test_slurm(slurm: Slurm, jobs: int, gpus: int, tmp_path: Path) -> None:
    pairs = seen(SlurmConfig(), tmp_path, jobs, gpus)
    assert {gpu for _, gpu in pairs} == {"0", "1"}
    assert len(pairs) == 2
    assert len({worker for worker, _ in pairs}) == jobs


def test_htcondor(htcondor: HTCondor, tmp_path: Path) -> None:
    pairs = seen(HTCondorConfig(disk="100 MiB"), tmp_path, jobs=2, gpus=1)
    assert {gpu for _, gpu in pairs} == set(GPUS)
    assert len(pairs) == 2
