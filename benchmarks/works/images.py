"""The paper's MNIST network on a CPU, where networks are trained one by one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.measuring import Row, Run, row
from benchmarks.peers import plain
from benchmarks.works.engine import BATCH, CORES
from glo.execution import Batch, local_executor, train
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import Task
from glo.tasks.models import paper_mnist_cnn

SQUARE = 1024


def images(run: Run) -> Iterator[Row]:
    """Random images: glo, the plain loop, and the peak speed of matrix products."""
    networks, steps = (2, 2) if run.small else (4, 50)
    task = random_images(200 if run.small else 1000)
    config = TrainingConfig(steps=steps, batch_size=BATCH)
    batch = Batch(task, config, [Training(parse("x*log(y)"), 0.01)] * networks, [0] * networks)
    executor, square = local_executor(), torch.randn(SQUARE, SQUARE)

    def product() -> None:
        torch.set_num_threads(1)
        torch.mm(square, square)
        torch.set_num_threads(CORES)

    with plain.workers(task, CORES) as in_plain:
        calls = {
            "glo": lambda: train(executor, batch),
            "plain": lambda: in_plain([plain.Work("x*log(y)", 0.01, steps, BATCH, 0)] * networks),
            "square": product,
        }
        measured = run.interleaved(calls, pairs=5)
    executor.close()
    what = "the paper's MNIST network: glo vs the plain loop"
    yield row("images", what, measured.ratios("plain", "glo"), ">= 1", **measured.detail("glo", "plain"))
    # Per sample.  The first convolution needs no gradient by its inputs; for the others, backward is twice forward.
    flops = 2 * (2 * 28**2 * 32 * 25 + 3 * (14**2 * 64 * 25 * 32 + 3136 * 1024 + 1024 * 10))
    share = networks * steps * BATCH * flops / CORES / (2 * SQUARE**3)
    parts = [share * ratio for ratio in measured.ratios("square", "glo")]
    peak = 2 * SQUARE**3 / measured.wall("square") / 1e9
    what = "the same: its share of the peak speed of matrix products, per core"
    yield row("images-peak", what, parts, ">= 0.65", "%", peak_gflops_per_core=peak)


def random_images(samples: int) -> Task:
    """Random images with random labels, and the paper's network for MNIST."""
    return Task("images", paper_mnist_cnn, train=_drawn(samples), validation=_drawn(100))


def _drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 1, 28, 28, generator=generator), torch.randint(0, 10, (count,), generator=generator)
