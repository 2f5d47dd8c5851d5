"""A population beside `torch.func.vmap` by hand, which can vary the parameter of one loss, not the loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.measuring import Row, Run, row
from benchmarks.peers import plain, stacked
from benchmarks.works.engine import BATCH, CORES, NETWORKS
from glo.catalog import FOCAL, GENERALISED_CROSS_ENTROPY
from glo.execution import Batch, local_executor, train
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import load_task

RATE = 0.1
FAMILIES = {"gce": (GENERALISED_CROSS_ENTROPY, "q", 0.1, 0.9), "focal": (FOCAL, "g", 0.5, 5.0)}


def vmap(run: Run) -> Iterator[Row]:
    """80 digits networks whose losses are one family with 80 values of its parameter: glo and `torch.func.vmap`."""
    networks, steps = (4, 10) if run.small else (NETWORKS, 300)
    task, config = load_task("digits"), TrainingConfig(steps=steps, batch_size=BATCH)
    executor = local_executor()
    with plain.workers(task, CORES, stacked.train) as in_vmap:
        for family, (formula, parameter, least, most) in FAMILIES.items():
            values = [round(float(value), 4) for value in np.linspace(least, most, networks)]
            trainings = [Training(parse(formula.format_map({parameter: value})), RATE) for value in values]
            batch = Batch(task, config, trainings, [0] * networks)
            halves = [tuple(values[core::CORES]) for core in range(CORES)]
            work = [stacked.Networks(family, half, RATE, steps, BATCH, 0) for half in halves]
            calls = {
                f"glo, {family}": lambda batch=batch: train(executor, batch),
                f"vmap, {family}": lambda work=work: in_vmap(work),
            }
            measured = run.interleaved(calls, pairs=5)
            what = (
                f"{networks} networks with {family} at {networks} values of its parameter: glo vs `torch.func.vmap` by hand"
            )
            ratios = measured.ratios(f"vmap, {family}", f"glo, {family}")
            yield row(f"vmap-{family}", what, ratios, "", **measured.detail())
    executor.close()
