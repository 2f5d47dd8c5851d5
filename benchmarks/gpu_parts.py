"""Measurements of `python -m benchmarks.gpu_all` that nothing else makes; each is a process of its own.

    python -m benchmarks.gpu_parts PART OUT.json [--small]

A small run measures next to nothing, on the CPU where there is no GPU.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, unfold

from benchmarks.measuring import Call, Row, Run, viable_losses
from benchmarks.results import provenance
from benchmarks.works.gpu import PRECISIONS, Precision, accuracy, networks
from glo.execution import Batch, open_executor, train
from glo.expr.dual import uses_log_not_y
from glo.loss import PopulationLoss
from glo.records import Training, TrainingConfig
from glo.report import write_text
from glo.tasks import load_task
from glo.training.precision import matmul_precision

# Convolutions of the paper's networks: channels in and out, kernel, image, and whether all networks have the same inputs.
LAYERS = {
    "mnist-1": (1, 32, 5, 28, True),
    "mnist-2": (32, 64, 5, 14, False),
    "cifar-2": (96, 96, 3, 32, False),
}
NETWORKS, BATCH = 80, 100
INSTANCES = ((8, 1), (16, 2), (16, 4), (32, 4))  # samples and warps of a program instance of the kernel for the losses
CALLS = 200  # between two looks at the clock
HANGS_AFTER = 120.0  # seconds; two workers need a few


def bench(run: Run, precision: Precision) -> Row:
    """The rows of `python -m benchmarks.run gpu` in one precision."""
    return {"rows": list(networks(run, precision))}


def bench_accuracy(run: Run) -> Row:
    """What reduced precision does to the accuracy."""
    return {"rows": list(accuracy(run))}


def convolution(run: Run) -> Row:
    """Milliseconds of each convolution of 80 networks: cuDNN's grouped one, and im2col with one batched product."""
    device, found = _device(), list[Row]()
    copies, batch = (2, 2) if run.small else (NETWORKS, BATCH)
    for precision in PRECISIONS:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with matmul_precision(TrainingConfig(precision=precision)):
            for name, (channels, outputs, kernel, size, shared) in LAYERS.items():
                run.report(f"{name}, {precision}")
                image = batch, channels if shared else copies * channels, size, size
                weight = copies, outputs, channels, kernel, kernel
                inputs, weights = (torch.randn(shape, device=device, dtype=dtype) for shape in (image, weight))
                a, b = (call(inputs, weights).float() for call in (grouped, im2col))
                difference = float((a - b).abs().max() / a.abs().max())
                for way, call in (("grouped", grouped), ("im2col", im2col)):
                    step = partial(both_ways, call, inputs, weights, shared)
                    spent = [_milliseconds(step, device) for _ in range((run.pairs or 7) + 1)][1:]
                    layer = {"layer": name, "precision": precision, "way": way, "ms": statistics.median(spent)}
                    found.append({**layer, "largest_relative_difference": difference})
    return {"networks": copies, "batch": batch, "layers": found}


def grouped(inputs: Tensor, weights: Tensor) -> Tensor:
    """(N, P * inputs, H, W), or (N, inputs, H, W) for all, and (P, outputs, inputs, k, k) -> (N, P * outputs, H, W)."""
    groups = inputs.shape[1] // weights.shape[2]
    return conv2d(inputs, weights.flatten(0, 1), padding=weights.shape[-1] // 2, groups=groups)


def im2col(inputs: Tensor, weights: Tensor) -> Tensor:
    """The same by one matrix product for all networks, a batched one if their inputs differ."""
    copies, outputs, channels, kernel, _ = weights.shape
    samples, given, height, width = inputs.shape
    columns = unfold(inputs, kernel, padding=kernel // 2)  # (N, P * inputs * k * k, H * W)
    if given == channels:
        columns = columns.transpose(0, 1).flatten(1)
        product = torch.mm(weights.flatten(0, 1).flatten(1), columns).view(copies, outputs, -1)
    else:
        columns = columns.view(samples, copies, channels * kernel**2, -1).permute(1, 2, 0, 3).flatten(2)
        product = torch.bmm(weights.flatten(2), columns)  # (P, outputs, N * H * W)
    return product.view(copies, outputs, samples, -1).permute(2, 0, 1, 3).reshape(samples, -1, height, width)


def both_ways(call: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, weights: Tensor, shared: bool) -> None:
    """The forward pass and the gradients; nobody needs that by the inputs of a first layer."""
    inputs, weights = inputs.detach().requires_grad_(not shared), weights.detach().requires_grad_()
    outputs = call(inputs, weights)
    torch.autograd.grad(outputs, [weights] if shared else [inputs, weights], torch.ones_like(outputs))


def _milliseconds(call: Call, device: str) -> float:
    wait = torch.cuda.synchronize if device == "cuda" else _nothing
    wait()
    started = time.perf_counter()
    call()
    wait()
    return 1e3 * (time.perf_counter() - started)


def _nothing() -> None:
    """A CPU has nothing to wait for."""


def losses_kernel(run: Run) -> Row:
    """Milliseconds of the losses alone: the gradient by the present graph of calls, and value and gradient by one kernel.

    Each is measured call by call ("eager"), and on a GPU also as a captured CUDA graph.  With the first outputs, the first
    call of the kernel compiles it.  The other outputs have losses in another order, and it must not compile again.
    Errors are against float64.
    """
    if find_spec("triton") is None:
        run.report("skipped: triton is not installed")
        return {"skipped": "triton is not installed: it comes with PyTorch for CUDA"}
    os.environ.setdefault("TRITON_ALWAYS_COMPILE", "1")  # else the seconds of a compilation could be those of a cached file
    from benchmarks.losses_kernel import LossesKernel

    device, found = _device(), list[Row]()
    count = 3 if run.small else NETWORKS
    losses = [loss for loss in viable_losses(2 * count) if not uses_log_not_y(loss)][:count]
    for name, outputs, targets in _outputs(count, 20 if run.small else BATCH):
        losses, z, target = losses[::-1], outputs.to(device), targets.to(device)
        present = PopulationLoss(losses, device=device)
        steps: dict[str, Call] = {"present": partial(present.gradient, z, target)}
        usual, exact = present.gradient(z, target), PopulationLoss(losses, device=device).gradient(z.double(), target)
        shape: Row = {"outputs": name, "shape": list(z.shape), "error_of_present": _difference(usual, exact)}
        for samples, warps in INSTANCES[:1] if run.small else INSTANCES:
            way = f"kernel, {samples} samples, {warps} warps"
            run.report(f"{name}: {way}")
            steps[way] = partial(LossesKernel(losses, device=device, samples=samples, warps=warps), z, target)
            shape[way] = {"first_call_s": 1e-3 * _milliseconds(steps[way], device)}
            gradient = steps[way]()[1]
            shape[way] |= {"error": _difference(gradient, exact), "difference": _difference(gradient, usual)}
        calls = 1 if run.small else CALLS
        ways = {f"{way}, eager": partial(_repeat, step, calls) for way, step in steps.items()}
        if device == "cuda":
            ways |= {f"{way}, captured": partial(_repeat, _captured(step), calls) for way, step in steps.items()}
        measured = [{way: _milliseconds(call, device) / calls for way, call in ways.items()} for _ in range(run.pairs or 15)]
        shape["ms"] = {way: statistics.median(each[way] for each in measured) for way in ways}
        found.append(shape)
    return {"networks": count, "triton": version("triton"), "calls": found}


def _outputs(networks: int, samples: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Outputs, shape (P, N, 10), and class indices: random ones of MNIST's shape, and random linear layers on digits."""
    rng = torch.Generator().manual_seed(0)
    yield "MNIST", 3 * torch.randn(networks, samples, 10, generator=rng), torch.randint(0, 10, (samples,), generator=rng)
    digits = load_task("digits").split("train").first[:samples]
    inputs = digits.inputs.flatten(1)
    yield "digits", inputs @ torch.randn(networks, inputs.shape[1], 10, generator=rng), digits.targets


def _difference(a: Tensor, b: Tensor) -> Row:
    """The difference, relative to the largest number of each network: large where a loss has a pole, in whatever way."""
    each = (a - b).abs().amax((1, 2)) / b.abs().amax((1, 2))
    return {"median": float(each.median()), "largest": float(each.max())}


def _repeat(call: Call, times: int) -> None:
    for _ in range(times):
        call()


def _captured(call: Call) -> Call:
    """The call as a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    call()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def two_workers(run: Run) -> Row:
    """Whether a cluster of two workers of this machine trains on its one GPU; they once hung (decision 12).

    Each number of workers is tried in a process of its own, which is killed after two minutes; before that it writes the
    stack of every thread to its standard error.
    """
    limit = 60.0 if run.small else HANGS_AFTER
    found: Row = {"limit_s": limit}
    for workers in (1, 2):
        run.report(f"{workers} of at most 2 workers")
        process = multiprocessing.get_context("spawn").Process(target=_on_a_cluster, args=(workers, run.small, limit - 5))
        started = time.perf_counter()
        process.start()
        process.join(limit)
        hung = process.is_alive()
        if hung:
            process.kill()
            process.join()
        found[str(workers)] = {"seconds": time.perf_counter() - started, "hung": hung, "exit": process.exitcode}
    return found


def opening(run: Run) -> Row:
    """Seconds of the same trainings, three times, without a cluster and on one of one worker, whose child stays."""
    found: Row = {}
    for name, where in (("without a cluster", None), ("one worker", "local:1")):
        run.report(name)
        with open_executor(where, _device()) as executor:
            found[name] = [_seconds(partial(train, executor, _trainings(run.small))) for _ in range(3)]
    return found


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _trainings(small: bool) -> Batch:
    losses = viable_losses(2 if small else NETWORKS)
    config = TrainingConfig(steps=5 if small else 300)
    return Batch(load_task("digits"), config, [Training(loss, 0.1) for loss in losses], [0] * len(losses))


def _on_a_cluster(workers: int, small: bool, patience: float) -> None:
    faulthandler.dump_traceback_later(patience)
    with TemporaryDirectory() as folder:
        file = Path(folder, "cluster.toml")
        file.write_text(f'kind = "local"\nworkers = {workers}\nshare_gpus = true\n', encoding="utf-8")
        with open_executor(str(file), _device()) as executor:
            train(executor, _trainings(small))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _bench_parts() -> Iterator[tuple[str, Callable[[Run], Row]]]:
    for precision in PRECISIONS:
        yield f"bench-{precision}", partial(bench, precision=precision)


PARTS: dict[str, Callable[[Run], Row]] = {
    **dict(_bench_parts()),
    "accuracy": bench_accuracy,
    "convolution": convolution,
    "losses-kernel": losses_kernel,
    "opening": opening,
    "two-workers": two_workers,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_parts", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("out", type=Path, help="the JSON file")
    parser.add_argument("--small", action="store_true", help="measure next to nothing, to see that it works")
    given = parser.parse_args(arguments)
    run = Run(partial(print, flush=True), pairs=1 if given.small else None, small=given.small)
    found: dict[str, Any] = {**PARTS[given.part](run), "provenance": provenance()}
    write_text(given.out, json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
