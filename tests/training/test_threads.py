"""Trainings in several threads of one process: each as if it were alone, and the global state is left as it was."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.training import train_population, train_single
from small import certainty, points

THREADS = 4
CONFIG = TrainingConfig(steps=40, batch_size=20, curve_every=2)
TRAINING = Training(parse("x*log(y)"), 0.1)


class NumpyNoise(nn.Module):
    """Noise from NumPy's global generator, as in an augmentation."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + 0.1 * torch.from_numpy(np.random.randn(*inputs.shape).astype(np.float32))  # noqa: NPY002


def dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 32), nn.Dropout(0.5), nn.ReLU(), nn.Linear(32, 3))


def noisy() -> nn.Module:
    return nn.Sequential(NumpyNoise(), nn.Linear(4, 3))


@pytest.mark.parametrize("model", [dropout, noisy])
@pytest.mark.parametrize("together", [False, True], ids=["single", "population"])
def test_trainings_in_threads_are_those_of_one_thread(model: type[nn.Module], together: bool) -> None:
    task = Task("noise", model, points(0), points(1), metric=certainty)

    def curve(seed: int) -> object:
        if together:
            return [result.curve for result in train_population(task, [TRAINING, TRAINING], CONFIG, seed)]
        return train_single(task, TRAINING, CONFIG, seed).curve

    expected = [curve(seed) for seed in range(THREADS)]
    assert expected[0] != expected[1]
    states = [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]  # noqa: NPY002
    start = Barrier(THREADS)

    def at_once(seed: int) -> object:
        start.wait()
        return curve(seed)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(at_once, range(THREADS))) == expected
    assert [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())] == states  # noqa: NPY002


def test_precision_is_that_of_each_thread() -> None:
    """The flags of TF32 belong to the process: a training sees its own, and the user's come back."""
    asked: dict[int, str] = {}  # by thread
    seen: dict[str, set[bool]] = {"float32": set(), "tf32": set()}

    class Watching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            if get_ident() in asked and self.training:
                seen[asked[get_ident()]].add(bool(torch.backends.cuda.matmul.allow_tf32))
            return super().forward(input)

    task = Task("watched", lambda: Watching(4, 3), points(0), points(1))
    start = Barrier(2)

    def run(precision: str) -> TrainingResult:
        start.wait()
        asked[get_ident()] = precision
        return train_single(task, TRAINING, CONFIG.model_copy(update={"precision": precision}), 0)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(run, ["float32", "tf32"])
    assert one == other  # on a CPU
    assert seen == {"float32": {False}, "tf32": {True}}
    assert not torch.backends.cuda.matmul.allow_tf32
