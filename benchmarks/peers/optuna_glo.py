"""A search for a loss as most people would do it today: Optuna over published families with parameters."""

from __future__ import annotations

import time

import optuna

from benchmarks.peers import plain
from benchmarks.peers.deap_glo import Point
from glo.tasks import Task

BATCH = 100


def suggested(trial: optuna.Trial) -> tuple[str, float]:
    """A loss as f(x, y), and a learning rate."""
    family = trial.suggest_categorical("family", ["focal", "gce", "sce"])
    rate = trial.suggest_float("learning_rate", 0.01, 3.0, log=True)
    if family == "focal":
        gamma = trial.suggest_float("gamma", 0.0, 5.0)
        return f"x*(1 - y)**{gamma!r}*log(y)", rate
    if family == "gce":
        q = trial.suggest_float("q", 0.05, 1.0)
        return f"x*(y**{q!r} - 1)/{q!r}", rate
    alpha = trial.suggest_float("alpha", 0.01, 10.0, log=True)
    beta = trial.suggest_float("beta", 0.01, 10.0, log=True)
    return f"{alpha!r}*x*log(y) + {beta!r}*x*y", rate


def search(task: Task, cores: int, seed: int, steps: int, trials: int) -> list[Point]:
    """Trials by TPE, as many at once as there are cores; the best loss by when."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))
    started, points, best = time.perf_counter(), list[Point](), -1.0
    with plain.workers(task, cores) as train_all:
        for _ in range(0, trials, cores):
            asked = [study.ask() for _ in range(cores)]
            drawn = [suggested(trial) for trial in asked]
            found = train_all([plain.Work(loss, rate, steps, BATCH, seed) for loss, rate in drawn])
            for trial, (loss, _), fitness in zip(asked, drawn, found, strict=True):
                study.tell(trial, fitness)
                if fitness > best:
                    best = fitness
                    points.append(Point(time.perf_counter() - started, loss))
    points.append(Point(time.perf_counter() - started, points[-1].loss))
    return points
