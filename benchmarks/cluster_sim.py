"""How far glo scales on a cluster, by simulation: what the driver costs, and how busy the workers are.

    python -m benchmarks.cluster_sim [--workers 1,10,100,500,2000] [--out DIR]

Two simulations and a measurement, since nobody has 2,000 cores at hand:

- *dispatch*: the real dask scheduler and the real courier of glo, over TLS, with workers that sleep instead of training.
  What the driver's process computes meanwhile is overhead.
- *search*: the real search, funnel, store and loop, with a clock that jumps over the trainings: what the driver computes
  takes the time it takes (most of it is screening dozens of candidates for each that is trained), and a simulated training
  lasts as long as is drawn for it.  So the overhead of the driver and the waiting for stragglers show in how busy they are.
- *two workers*: how much faster two real workers of this machine are than one.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dask.config
import torch
from distributed import Client, LocalCluster, Security
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Column, Table

from benchmarks.measuring import Row, seconds
from benchmarks.simulated import FAILURES, MEDIAN, SIGMA, Everywhere, Pool
from glo.catalog import cross_entropy
from glo.execution import Trainer, trainers
from glo.execution.children import Died, in_processes
from glo.execution.dask.config import LocalConfig
from glo.execution.dask.courier import Courier
from glo.execution.dask.start import settings
from glo.execution.dask.worker import Errand, Report, versions
from glo.execution.local import split_parts
from glo.expr import parse
from glo.records import Stage, TrainingConfig, generator
from glo.report import save
from glo.study import discover, hardware
from glo.study import versions as versions_of_run
from glo.tasks import load_task
from glo.training import Result, Training, TrainingResult

GOAL = 10.0  # milliseconds of the driver for each evaluation
NAMES = {"generational": "generations", "steady_state": "steady state"}
SCREENS = (Stage.STRUCTURE, Stage.DERIVATIVE, Stage.DESCENT)  # of the funnel, by which candidates are chosen
ROUNDS = {2000: 6}  # generations with so many workers; else 10
RESULTS = Path(__file__).parent / "results"
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "cluster-sim.png"


def sleeping(errand: Errand, _packed: bytes | None, trainings: list[Training], seed: int, _test: bool) -> Report:
    """In place of `train_part`: sleeps, for a time drawn from the seed; some die."""
    rng = generator(seed, "sleep")
    time.sleep(errand.limit * rng.lognormal(0, SIGMA))
    results: list[Result] = [TrainingResult(0.5) for _ in trainings]
    return Report("", Died(1) if rng.random() < FAILURES else results)


def dispatch(workers: int) -> Row:
    """Milliseconds for each evaluation of sending, scheduling and receiving, with so many real slots of dask."""
    processes = min(workers, 4)
    evaluations = max(200, 2 * workers)
    config = LocalConfig(retries=0)
    # They sleep for long enough that the process is not busy all the time, and for no longer than that.
    errand = Errand("", None, ".", "", "", TrainingConfig(), "cpu", versions(), max(0.02, workers * 0.01))
    with (
        dask.config.set(settings(config)),
        LocalCluster(
            n_workers=processes, threads_per_worker=math.ceil(workers / processes), security=Security.temporary(),
            dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        client.run(generator, 0, "sleep")  # what it imports at first use is not counted
        courier: Courier[int] = Courier(client, config, errand, None, work=sleeping)
        sent = done = 0
        computed, mine = time.process_time(), time.thread_time()
        while done < evaluations:
            while sent < evaluations and len(courier) < workers:
                courier.send({sent: Training(cross_entropy, 0.1)}, seed=sent)
                sent += 1
            done += len(courier.next())
        all_ms = (time.process_time() - computed) / evaluations * 1000
        mine_ms = (time.thread_time() - mine) / evaluations * 1000
    return {"workers": workers, "dispatch_ms": all_ms, "dispatch_driver_ms": mine_ms, "evaluations": evaluations}


def searched(workers: int, steady: bool, generations: int) -> Row:
    """A search of the default preset on so many simulated workers; no population is smaller than they are many."""
    population = max(40, workers)
    task, pool = load_task("digits"), Pool(workers)
    with tempfile.TemporaryDirectory() as folder:
        found = discover(
            task, generations=generations, population=population, steady_state=steady or None,
            storage=Path(folder) / "glo.db", settings=["training.learning_rates=[0.1]", "training.early_stop=0"],
            cluster=Everywhere(pool), slots=workers if steady else None,
        )  # fmt: skip
    span, asked = pool.now(), generations * population
    last_began, _ = max(pool.trainings)
    return {
        "trainings": pool.evaluations,
        "driver_ms": pool.driver() / asked * 1000,
        "screening_ms": sum(found.funnel[stage].seconds for stage in SCREENS) / asked * 1000,
        "utilisation": pool.busy(span),
        "utilisation_before_last": pool.busy(last_began),
        "hours": span / 3600,
    }


def efficiency(rounds: int = 15) -> Row:
    """How much faster two real workers of this machine train a generation of the default preset than one does.

    In turn with two bare processes and one, which is what the machine itself gives.  Noisy-digits, 40 candidates at three
    rates; medians, after a round that does not count.
    """
    task, config = load_task("noisy-digits"), TrainingConfig(steps=300)
    losses = [parse(f"x*log(y) + {i}*y") for i in range(40)]  # each a network of its own, at each rate
    trainings = [Training(loss, rate) for loss in losses for rate in (0.03, 0.1, 0.3)]

    def bare(part: Sequence[int]) -> None:
        Trainer(task, config, "cpu", processes=1).train([trainings[i] for i in part], seed=0)

    def in_bare(processes: int) -> Callable[[], object]:
        parts = split_parts([0] * len(trainings), together=True, slots=processes)
        return lambda: list(in_processes(bare, parts, processes))

    with trainers("local:1", "cpu") as one, trainers("local:2", "cpu") as two:
        workers = [partial(make(task, config).train, trainings, seed=0) for make in (one, two)]
        spent = [[seconds(train) for train in (*workers, in_bare(1), in_bare(2))] for _ in range(rounds + 1)][1:]
    one_s, two_s, bare_one_s, bare_two_s = (statistics.median(column) for column in zip(*spent, strict=True))
    return {
        "speedup": statistics.median(round_[0] / round_[1] for round_ in spent),
        "speedup_of_bare_processes": statistics.median(round_[2] / round_[3] for round_ in spent),
        "seconds": {"one": one_s, "two": two_s, "bare_one": bare_one_s, "bare_two": bare_two_s},
        "rounds": rounds,
    }


def measured(workers: int) -> Row:
    generations = ROUNDS.get(workers, 10)
    row = dispatch(workers)
    for name, steady in (("generational", False), ("steady_state", True)):
        row[name] = searched(workers, steady, generations)
    return row


def shown(rows: Sequence[Row]) -> Table:
    columns = ("dispatch, ms", "search, ms", "screens, ms", "trained", "busy", "till last began")
    table = Table("workers", Column("search", no_wrap=True), *(Column(name, justify="right") for name in columns))
    for row in rows:
        for name, text in NAMES.items():
            one = row[name]
            table.add_row(
                f"{row['workers']:,}", text, f"{row['dispatch_ms']:.1f}", f"{one['driver_ms']:.1f}",
                f"{one['screening_ms']:.1f}", f"{one['trainings']:,}", f"{one['utilisation']:.0%}",
                f"{one['utilisation_before_last']:.0%}",
            )  # fmt: skip
    return table


def figure(rows: Sequence[Row]) -> Figure:
    workers = [row["workers"] for row in rows]
    drawn = Figure(figsize=(11, 4), layout="constrained")
    busy, cost = drawn.subplots(1, 2)
    cost.axhline(GOAL, color="C7", linestyle="--", label="goal")
    cost.plot(workers, [row["dispatch_ms"] for row in rows], "s-", color="C2", label="to send and receive (dask)")
    for (name, text), colour in zip(NAMES.items(), ("C0", "C1"), strict=True):
        busy.plot(workers, [100 * row[name]["utilisation"] for row in rows], "o-", color=colour, label=text)
        before = [100 * row[name]["utilisation_before_last"] for row in rows]
        busy.plot(workers, before, "o:", color=colour, label="… until the last began")
        everything = [row["dispatch_ms"] + row[name]["driver_ms"] for row in rows]
        rest = [all_ - row[name]["screening_ms"] for all_, row in zip(everything, rows, strict=True)]
        cost.plot(workers, rest, "o-", color=colour, label=f"and to breed and record, {text}")
        cost.plot(workers, everything, "o:", color=colour, label="… and to screen")
    busy.set(ylabel="workers busy (%)", ylim=(0, 105), title="Use of the cluster")
    cost.set(ylabel="milliseconds per evaluation", title="What the driver computes", ylim=(0, None))
    for axes in (busy, cost):
        axes.set_xscale("log")
        axes.set_xticks(workers, [f"{count:,}" for count in workers])
        axes.set_xlabel("workers")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    busy.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    cost.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,10,100,500,2000")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--image", type=Path, default=IMAGE)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:  # what is imported at first use is not counted
        discover(load_task("digits"), generations=1, population=2, steps=1, storage=Path(folder) / "glo.db")
    console = Console(width=100)
    rows: list[Row] = []
    for workers in map(int, chosen.workers.split(",")):
        rows.append(measured(workers))
        console.print(shown(rows[-1:]))
    console.print(shown(rows))
    faster = efficiency()
    console.print(
        f"Two workers of this machine train a generation {faster['speedup']:.2f} times as fast as one; two bare processes "
        f"{faster['speedup_of_bare_processes']:.2f} times."
    )
    assumed = {"median_seconds": MEDIAN, "sigma": SIGMA, "failures": FAILURES}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    report = {
        "rows": rows,
        "two_workers": faster,
        "assumed": assumed,
        "hardware": hardware(),
        "versions": versions_of_run(),
        "finished": finished,
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "cluster_sim.json").write_text(json.dumps(report, indent=2) + "\n")
    save(figure(rows), chosen.image)


if __name__ == "__main__":
    main()
