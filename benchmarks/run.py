"""Run the benchmarks: a table on the terminal, JSON with provenance in benchmarks/results/.

    python -m benchmarks.run [engine] [adamw] [text] [loss] [images] [search] [tune] [trials] [start] [gpu]

Each benchmark measures glo and its peers in turn and repeatedly, in one process; the results are medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu import gpu
from benchmarks.measuring import Row, median_seconds, row, viable_losses
from benchmarks.peers import dataloader, deap_glo, plain
from benchmarks.text import text
from benchmarks.trials import trials
from glo import discover, tune_coefficients
from glo.execution import Batch, local_executor, train
from glo.expr import parse
from glo.loss import PopulationLoss
from glo.provenance import commit, hardware, versions
from glo.records import Training, TrainingConfig
from glo.tasks import Task, load_task
from glo.tasks.models import paper_mnist_cnn
from glo.training import train_population

NETWORKS, BATCH, CORES = 80, 100, 2
RESULTS = Path(__file__).parent / "results"


def engine(repeats: int) -> list[Row]:
    """Network-steps per second on digits (64-64-10, batch 100), 80 losses: a population, the plain loop, a DataLoader."""
    task, losses, steps = load_task("digits"), viable_losses(NETWORKS), 300
    config = TrainingConfig(steps=steps, batch_size=BATCH)
    work = [plain.Work(str(loss), 0.1, steps, BATCH, 0) for loss in losses]
    trainings = [Training(loss, 0.1) for loss in losses]
    batch = Batch(task, config, trainings, [0] * NETWORKS)
    executor, square = local_executor(), torch.randn(2048, 2048)
    with plain.workers(task, CORES) as in_plain, plain.workers(task, CORES, dataloader.train) as in_dataloader:
        times = median_seconds(
            {
                "population": lambda: train(executor, batch),
                "plain": lambda: in_plain(work),
                "dataloader": lambda: in_dataloader(work),
                "gemm": lambda: square @ square,
            },
            repeats,
        )
    peak = 2 * 2048**3 / times["gemm"]
    # Forward, weight gradients and the gradient by the hidden layer; a multiplication and an addition are 2 operations.
    flops = 2 * BATCH * (2 * 64 * 64 + 3 * 64 * 10) * steps * NETWORKS
    total = NETWORKS * steps
    rates = {name: total / times[name] for name in ("population", "plain", "dataloader")}
    return [
        row("network-steps/s: population vs plain", rates["population"] / rates["plain"], ">= 6", {**rates}),
        row("network-steps/s: population vs dataloader", rates["population"] / rates["dataloader"], ">= 15", {}),
        row("time over the GEMM floor", times["population"] / (flops / peak), "<= 3", {"peak_gflops": peak / 1e9}),
    ]


def adamw(repeats: int) -> list[Row]:
    """Network-steps per second with AdamW on digits, 80 losses: a population against the plain loop."""
    task, losses, steps, rate = load_task("digits"), viable_losses(NETWORKS), 300, 0.003
    config = TrainingConfig(steps=steps, batch_size=BATCH, optimizer="adamw", weight_decay=0.01)  # PyTorch's default
    work = [plain.Work(str(loss), rate, steps, BATCH, 0, "AdamW") for loss in losses]
    batch = Batch(task, config, [Training(loss, rate) for loss in losses], [0] * NETWORKS)
    executor = local_executor()
    with plain.workers(task, CORES) as in_plain:
        calls = {"population": lambda: train(executor, batch), "plain": lambda: in_plain(work)}
        times = median_seconds(calls, repeats)
    rates = {name: NETWORKS * steps / seconds for name, seconds in times.items()}
    return [row("AdamW, network-steps/s: population vs plain", rates["population"] / rates["plain"], ">= 5", rates)]


def loss(repeats: int) -> list[Row]:
    """The share of the losses in the time of a step, on one thread, for the half of a population that one core trains."""
    task, losses = load_task("digits"), viable_losses(NETWORKS)[::CORES]
    config = TrainingConfig(steps=300, batch_size=BATCH)
    trainings = [Training(loss, 0.1) for loss in losses]
    population = PopulationLoss(losses)
    outputs, targets = torch.randn(len(losses), BATCH, 10), torch.randint(0, 10, (BATCH,))
    torch.set_num_threads(1)
    times = median_seconds(
        {
            "steps": lambda: train_population(task, trainings, config, 0),
            "losses": lambda: [population.gradient(outputs, targets) for _ in range(config.steps)],
        },
        repeats,
    )
    torch.set_num_threads(CORES)
    per_step = {name: 1e3 * value / config.steps for name, value in times.items()}
    return [row("losses / step", times["losses"] / times["steps"], "<= 0.15", {"ms": per_step})]


def images(repeats: int) -> list[Row]:
    """The paper's MNIST network on random images: glo, the plain loop, and the peak speed of matrix products."""
    draw = lambda count: (torch.randn(count, 1, 28, 28), torch.randint(0, 10, (count,)))  # noqa: E731
    task = Task("images", paper_mnist_cnn, train=draw(1000), validation=draw(100))
    networks, steps = 4, 50
    config = TrainingConfig(steps=steps, batch_size=BATCH)
    batch = Batch(task, config, [Training(parse("x*log(y)"), 0.01)] * networks, [0] * networks)
    executor, square = local_executor(), torch.randn(1024, 1024)

    def product() -> None:
        torch.set_num_threads(1)
        torch.mm(square, square)
        torch.set_num_threads(CORES)

    with plain.workers(task, CORES) as in_plain:
        times = median_seconds(
            {
                "glo": lambda: train(executor, batch),
                "plain": lambda: in_plain([plain.Work("x*log(y)", 0.01, steps, BATCH, 0)] * networks),
                "gemm": product,
            },
            repeats,
        )
    # Per sample.  The first convolution needs no gradient by its inputs; for the others, backward is twice forward.
    flops = 2 * (2 * 28**2 * 32 * 25 + 3 * (14**2 * 64 * 25 * 32 + 3136 * 1024 + 1024 * 10))
    achieved = networks * steps * BATCH * flops / times["glo"] / CORES
    peak = 2 * 1024**3 / times["gemm"]
    detail = {"gflops_per_core": achieved / 1e9, "peak_gflops_per_core": peak / 1e9}
    return [
        row("MNIST network: glo vs plain", times["plain"] / times["glo"], ">= 1", {"seconds": times}),
        row("MNIST network: part of the peak", achieved / peak, ">= 0.65", detail),
    ]


def search(repeats: int) -> list[Row]:
    """A whole search by the paper's GA on noisy-digits, 80 candidates x 20 generations, one learning rate: glo vs DEAP."""
    task, steps, rate = load_task("noisy-digits"), 600, 0.1
    settings = [
        f"training.learning_rates=[{rate}]", "funnel.derivative=true", "funnel.descent=true", "training.early_stop=0.1",
    ]  # fmt: skip
    ours: list[float] = []
    theirs: list[float] = []
    best: dict[str, list[float]] = {"glo": [], "deap": []}
    for seed in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            found = discover(
                "noisy-digits", preset="paper", generations=20, steps=steps, seed=seed, storage=f"{folder}/glo.db",
                settings=settings,
            )  # fmt: skip
            ours.append(time.perf_counter() - started)
        finalists = found.finalists(1)
        best["glo"].append(finalists[0].fitness if finalists else 0.0)
        started = time.perf_counter()
        result = deap_glo.search(task, CORES, seed, steps, rate)
        theirs.append(time.perf_counter() - started)
        best["deap"].append(result.best)
    ratio = statistics.median(theirs) / statistics.median(ours)
    detail = {"glo_seconds": ours, "deap_seconds": theirs, "best": best}
    return [row("whole search: glo vs DEAP", ratio, ">= 15", detail)]


def tune(repeats: int) -> list[Row]:
    """Tuning Baikal on noisy-digits, 10 iterations of 16 candidates, one learning rate: glo vs pycma."""
    task, steps, rate, iterations, population = load_task("noisy-digits"), 600, 0.01, 10, 16
    with tempfile.TemporaryDirectory() as folder:
        seeds = iter(range(repeats + 1))
        times = median_seconds(
            {
                "glo": lambda: tune_coefficients(
                    task, "baikal", which="all", iterations=iterations, population=population, steps=steps,
                    learning_rates=[rate], seed=next(seeds), storage=f"{folder}/glo.db",
                    settings=["coefficients.confirmations=1"],
                ),
                "pycma": lambda: deap_glo.tune(
                    task, CORES, "sub(log(y), truediv(x, y))", 0, steps, rate, iterations, population
                ),
            },
            repeats,
        )  # fmt: skip
    return [row("tuning coefficients: glo vs pycma", times["pycma"] / times["glo"], ">= 1", {"seconds": times})]


def start(repeats: int) -> list[Row]:
    """Seconds of `import glo`, without the start of Python, and of `glo --help`."""

    def run(code: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    times = median_seconds(
        {
            "python": run("pass"),
            "import": run("import glo"),
            "help": run("import sys; sys.argv = ['glo', '--help']\nfrom glo.cli.app import main\nmain()"),
        },
        repeats,
    )
    return [
        row("import glo, seconds", times["import"] - times["python"], "< 0.1", {}),
        row("glo --help, seconds", times["help"], "< 0.3", {}),
    ]


PARTS: dict[str, tuple[Callable[[int], list[Row]], int]] = {
    "engine": (engine, 5),
    "adamw": (adamw, 5),
    "text": (text, 5),
    "loss": (loss, 15),
    "images": (images, 5),
    "search": (search, 3),
    "tune": (tune, 3),
    "trials": (trials, 5),
    "start": (start, 9),
    "gpu": (gpu, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="the benchmarks to run; all by default")
    chosen = parser.parse_args().parts or list(PARTS)
    torch.set_num_threads(CORES)
    rows = [row for part in chosen for row in PARTS[part][0](PARTS[part][1])]
    if not rows:
        return
    provenance = {"versions": versions(), "hardware": hardware(), "commit": commit()}
    RESULTS.mkdir(exist_ok=True)
    result = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **provenance, "rows": rows}
    (RESULTS / f"{'all' if chosen == list(PARTS) else '-'.join(chosen)}.json").write_text(
        json.dumps(result, indent=2) + "\n", encoding="utf-8"
    )
    table = Table(title="glo compared with code that a user would write without it")
    for column in ("benchmark", "measured", "goal", "met"):
        table.add_column(column)
    for line in rows:
        table.add_row(line["what"], f"{line['value']:.3g}", line["goal"], "yes" if line["met"] else "no")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
