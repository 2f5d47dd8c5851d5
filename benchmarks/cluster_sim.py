"""How glo scales on a cluster, by simulation: the cost of the driver, and how busy the workers are.

    python -m benchmarks.cluster_sim [--workers 1,10,100,500,2000] [--out DIR]

Two simulations and a measurement, since 2,000 cores are hard to come by:

- *dispatch*: the real scheduler of dask and the real executor of glo, over TLS, with workers that sleep instead of training.
  Whatever the driver's process computes in the meantime is overhead.
- *search*: the real search, funnel, store and loop, with a clock that jumps over the trainings.  What the driver computes
  takes its real time (most of it is screening dozens of candidates for each that is trained); the duration of a training
  is drawn.  So the overhead of the driver and the waiting for stragglers show in how busy the workers are.
- *two workers*: the speed of two real workers of this machine, relative to one.
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
from benchmarks.simulated import FAILURES, MEDIAN, SIGMA, Pool, SimulatedExecutor
from glo.catalog import cross_entropy
from glo.execution import Batch, open_executor, train
from glo.execution.children import Died, in_processes
from glo.execution.dask.config import LocalConfig
from glo.execution.dask.executor import DaskExecutor
from glo.execution.dask.start import settings
from glo.execution.dask.worker import WorkerJob, WorkerReport
from glo.execution.parts import split
from glo.expr import parse
from glo.provenance import hardware, versions
from glo.records import Result, Stage, Training, TrainingConfig, TrainingResult, generator
from glo.report import save
from glo.study import discover
from glo.tasks import load_task
from glo.training import train_networks

GOAL = 10.0  # milliseconds of the driver per evaluation
NAMES = {"generational": "generations", "steady_state": "steady state"}
SCREENS = (Stage.STRUCTURE, Stage.DERIVATIVE, Stage.DESCENT)  # stages of the funnel that screen candidates
ROUNDS = {2000: 6}  # generations with this many workers; else 10
RESULTS = Path(__file__).parent / "results"
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "cluster-sim.png"


def sleep(job: WorkerJob, pickled: bytes | None) -> WorkerReport:
    """In place of `train_job`: sleep for a time drawn from the seed, in the median the time limit; some trainings die."""
    rng = generator(job.seed, "sleep")
    time.sleep(job.time_limit * rng.lognormal(0, SIGMA))
    results: list[Result] = [TrainingResult(0.5) for _ in job.trainings]
    return WorkerReport("", Died(1) if rng.random() < FAILURES else results)


def dispatch(workers: int) -> Row:
    """Milliseconds of the driver per evaluation to send, schedule and receive, with this many real slots of dask."""
    processes = min(workers, 4)
    evaluations = max(200, 2 * workers)
    # They sleep just long enough that their processes are not busy all the time.
    config = LocalConfig(retries=0, time_limit=max(0.02, workers * 0.01))
    task, training = load_task("digits"), Training(cross_entropy, 0.1)
    with (
        dask.config.set(settings(config)),
        LocalCluster(
            n_workers=processes, threads_per_worker=math.ceil(workers / processes), security=Security.temporary(),
            dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        client.run(generator, 0, "sleep")  # modules that it imports at its first use are not counted
        executor = DaskExecutor(client, config, "cpu", work=sleep)
        train(executor, Batch(task, TrainingConfig(), [training], seeds=[0]))  # nor is hashing the task
        sent = done = 0
        computed, mine = time.process_time(), time.thread_time()
        while done < evaluations:
            while sent < evaluations and sent - done < workers:
                executor.submit(sent, Batch(task, TrainingConfig(), [training], seeds=[sent]))
                sent += 1
            _, results = executor.next()
            done += len(results)
        all_ms = (time.process_time() - computed) / evaluations * 1000
        mine_ms = (time.thread_time() - mine) / evaluations * 1000
    return {"workers": workers, "dispatch_ms": all_ms, "dispatch_driver_ms": mine_ms, "evaluations": evaluations}


def searched(workers: int, steady: bool, generations: int) -> Row:
    """A search of the default preset on this many simulated workers; the population is at least as large."""
    population = max(40, workers)
    task, pool = load_task("digits"), Pool(workers)
    with tempfile.TemporaryDirectory() as folder:
        result = discover(
            task, generations=generations, population=population, steady_state=steady or None,
            storage=Path(folder) / "glo.db", settings=["training.learning_rates=[0.1]", "training.early_stop=0"],
            cluster=SimulatedExecutor(pool),
        )  # fmt: skip
    span, asked = pool.now(), generations * population
    last_start, _ = max(pool.trainings)
    return {
        "trainings": pool.evaluations,
        "driver_ms": pool.driver() / asked * 1000,
        "screening_ms": sum(result.funnel[stage].seconds for stage in SCREENS) / asked * 1000,
        "utilisation": pool.busy(span),
        "utilisation_before_last": pool.busy(last_start),
        "hours": span / 3600,
    }


def efficiency(rounds: int = 15) -> Row:
    """How much faster two real workers of this machine train a generation of the default preset than one does.

    Two bare processes and one are measured in turn with them: they show what the machine itself allows.  Noisy-digits, 40
    candidates at three rates; medians, after a first round that is not counted.
    """
    task, config = load_task("noisy-digits"), TrainingConfig(steps=300)
    losses = [parse(f"x*log(y) + {i}*y") for i in range(40)]  # each has a network of its own at each rate
    trainings = [Training(loss, rate) for loss in losses for rate in (0.03, 0.1, 0.3)]
    batch = Batch(task, config, trainings, seeds=[0] * len(trainings))

    def bare(part: Sequence[int]) -> None:
        train_networks(task, [trainings[i] for i in part], config, seed=0)

    def in_bare(processes: int) -> Callable[[], object]:
        parts = split(batch.seeds, together=True, slots=processes)
        return lambda: list(in_processes(bare, parts, processes))

    with open_executor("local:1", "cpu") as one, open_executor("local:2", "cpu") as two:
        while two.slots < 2:
            time.sleep(1)
        workers = [partial(train, executor, batch) for executor in (one, two)]
        spent = [[seconds(work) for work in (*workers, in_bare(1), in_bare(2))] for _ in range(rounds + 1)][1:]
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
        busy.plot(workers, before, "o:", color=colour, label="… until the last training starts")
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
    with tempfile.TemporaryDirectory() as folder:  # modules that are imported at their first use are not counted
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
        "versions": versions(),
        "finished": finished,
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "cluster_sim.json").write_text(json.dumps(report, indent=2) + "\n")
    save(figure(rows), chosen.image)


if __name__ == "__main__":
    main()
