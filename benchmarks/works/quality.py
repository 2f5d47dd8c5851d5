"""Whole searches to the same quality: how soon has glo a loss as good as the one that another search ends with?

Both search on noisy-digits.  Afterwards each loss that was the best of a search for a while is trained at its best rate by
validation, and measured on test with fresh seeds, all by the same protocol: how good a search is by when does not rest on
its own fitness.  The target is the confirmed test accuracy of the other search's result, minus one standard error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence.claims import reached, target_of
from benchmarks.evidence.parts import Run as EvidenceRun
from benchmarks.evidence.races import confirmed
from benchmarks.evidence.sizes import SIZES
from benchmarks.evidence.timed_search import CountingExecutor, Following
from benchmarks.measuring import Row, Run, cpu_seconds, row
from benchmarks.peers import deap_glo
from benchmarks.works.engine import CORES
from glo import Study
from glo.execution import local_executor
from glo.expr import parse
from glo.tasks import Task, load_task

SIX_RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
POPULATION, GENERATIONS, ELITES = 40, 15, 4  # those of the default preset
TRIALS = 200
Points = list[dict[str, Any]]


def skilled(run: Run) -> Iterator[Row]:
    """The default search beside a skilled user's: DEAP, six learning rates, and a confirmation on fresh seeds."""
    population, generations = (30, 2) if run.small else (POPULATION, GENERATIONS)

    def search(task: Task, seed: int, steps: int) -> list[deap_glo.Point]:
        return deap_glo.skilled(task, CORES, seed, steps, SIX_RATES, population, generations, ELITES)

    size = f"DEAP {population} x {generations}, six rates"
    what = f"the default search to the confirmed test accuracy of a skilled user's ({size}): glo vs that"
    yield from _race(run, "quality-skilled", what, search, ">= 60")


def optuna(run: Run) -> Iterator[Row]:
    """The default search beside Optuna over three published families with their parameters."""
    from benchmarks.peers import optuna_glo

    trials = 4 if run.small else TRIALS

    def search(task: Task, seed: int, steps: int) -> list[deap_glo.Point]:
        return optuna_glo.search(task, CORES, seed, steps, trials)

    what = (
        f"the default search to the confirmed test accuracy of Optuna's ({trials} trials over focal, GCE, SCE): glo vs that"
    )
    yield from _race(run, "quality-optuna", what, search, "")


def _race(
    run: Run, name: str, what: str, search: Callable[[Task, int, int], Sequence[deap_glo.Point]], goal: str
) -> Iterator[Row]:
    task, steps = load_task("noisy-digits"), 20 if run.small else 600
    races: list[Row] = []
    for seed in range(run.pairs or 3):
        run.report(f"seed {seed}: the other search")
        cpu = cpu_seconds()
        theirs = [{"seconds": p.seconds, "steps": 0, "expression": _expression(p.loss)} for p in search(task, seed, steps)]
        their_cpu, cpu = cpu_seconds() - cpu, cpu_seconds()
        ours = glo_search(run, seed)
        our_cpu = cpu_seconds() - cpu
        race: Row = {"seed": seed, "old": {"points": theirs}, "new": {"points": ours}}
        races.append({**race, "confirmed": _confirmed(task, race, run, seed), "cpu_s": {"glo": our_cpu, "other": their_cpu}})
    ratios = [_times_faster(race) for race in races]
    yield row(name, what, ratios, goal, races=[_summary(race) for race in races])


def glo_search(run: Run, seed: int) -> Points:
    """The default search, and what it had by when."""
    with tempfile.TemporaryDirectory() as folder:
        executor = CountingExecutor(local_executor())
        following = Following(executor, sign=1)
        study = Study(
            "noisy-digits", name="race", seed=seed, storage=f"{folder}/glo.db", cluster=executor, callbacks=[following]
        )
        run.report(f"seed {seed}: glo")
        size: dict[str, Any] = {"generations": 2, "population": 6, "steps": 20} if run.small else {}
        result = study.search(**size)
    following.note(result.best.expression)
    executor.close()
    return following.points


def _expression(source: str) -> str:
    """The loss of a peer in the language of glo, which its source happens to be."""
    return str(parse(source))


def _confirmed(task: Task, race: Row, run: Run, seed: int) -> dict[str, Any]:
    scale = "tiny" if run.small else "small"
    settings = EvidenceRun(scale, SIZES[scale], seed, None, Path(), lambda text: run.report(f"seed {seed}: {text}"))
    return confirmed(task, {"old": race["old"], "new": race["new"]}, settings)


def _times_faster(race: Row) -> float:
    """Seconds of the other search over those of glo until it reaches the target; 0 if it never does."""
    return race["old"]["points"][-1]["seconds"] / reached(race["new"], race["confirmed"], target_of(race)).seconds


def _summary(race: Row) -> Row:
    """What is kept of a race: seconds, and the confirmed test accuracy of both results."""
    theirs, ours = race["old"]["points"][-1], race["new"]["points"][-1]
    judged = race["confirmed"]
    found = reached(race["new"], judged, target_of(race))
    return {
        "seed": race["seed"],
        "target": target_of(race),
        "glo": {**_kept(ours, judged), "seconds_to_target": found.seconds if found.seconds < float("inf") else None},
        "other": _kept(theirs, judged),
        "cpu_s": race["cpu_s"],
    }


def _kept(point: dict[str, Any], judged: dict[str, Any]) -> Row:
    found = judged[point["expression"]]
    return {"seconds": point["seconds"], "expression": point["expression"], "mean": found["mean"], "sd": found["sd"]}
