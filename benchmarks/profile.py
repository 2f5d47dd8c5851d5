"""Where the time of a search goes, by stage, in the driver and in the processes that train.

    python -m benchmarks.profile [search] [demo] [--small] [--top] [--out FILE] [--publish]

Each named function is a stage, and its seconds are its own: without those of the stages that it calls.  The functions are
wrapped in a stopwatch, which forked processes inherit; each of them writes what it has spent after every part of a batch.
What a process has spent outside of all stages is its start and its end: the fork, copied pages, its result.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Row, cpu_seconds
from benchmarks.results import RESULTS, provenance
from glo import Study
from glo.cli.demo_story import DemoConfig, run_demo
from glo.report import write_text

PUBLISHED = RESULTS / "profile.json"
EXPLAINED = 0.03  # a larger share of the CPU time has a name
PART = "glo.execution.work:train_part"  # what a process does; afterwards it writes what it has spent
FORWARD, EVALUATION = "forward pass", "evaluation: forward pass"
# Stage: the functions whose time it is.
STAGES: dict[str, tuple[str, ...]] = {
    "driver: the rest": (
        "glo.study.study:Study.search",
        "glo.study.study:Study.judge",
        "glo.study.study:Study.survey",
        "glo.cli.demo_story:run_demo",
    ),
    "breeding": ("glo.search.genetic:GeneticSearch.ask", "glo.search.genetic:GeneticSearch.tell"),
    "fingerprints": (
        "glo.expr.fingerprint:fingerprint",
        "glo.expr.fingerprint:softmax_fingerprint",
        "glo.expr.fingerprint:scale_free_fingerprint",
    ),
    "check": ("glo.evaluation.funnel:Funnel._counted",),
    "descent probe": ("glo.evaluation.descent:DescentProbe._descend",),
    "keys of results": ("glo.execution.key:result_key",),
    "store": (
        "glo.store.database:Store.lookup",
        "glo.store.database:Store.remember",
        "glo.store.database:Store.record",
        "glo.store.database:Store.create_study",
        "glo.store.database:Store.extend_study",
        "glo.store.database:Store.generations",
        "glo.store.database:Store.trainings",
        "glo.store.database:Store.record_trainings",
        "glo.store.database:Store.record_judgement",
    ),
    "starting processes": ("glo.execution.local:ForkingExecutor.submit",),
    "waiting for processes": ("glo.execution.local:ForkingExecutor.next",),
    "statistics of the comparison": ("glo.compare.comparison:compare_families",),
    "pictures and pages": (
        "glo.report.plots:loss_figure",
        "glo.report.plots:progress_figure",
        "glo.report.plots:save",
        "glo.study.reading:RecordedStudy.report",
    ),
    "data": ("glo.tasks.registry:load_task",),
    "unit gradient": ("glo.loss.unit_gradient:unit_factor",),
    "losses: compilation": ("glo.loss.batch:PopulationLoss.__init__", "glo.loss.program:Program.__init__"),
    "losses: gradient": ("glo.loss.batch:PopulationLoss.gradient", "glo.loss.batch:PopulationLoss.value"),
    "training: the rest": (PART,),
    "training: batches": ("glo.training.population:_Population._update",),
    "training: the loop": ("glo.training.population:_Population.train", "glo.training.population:_Population._step"),
    "making models": (
        "glo.tasks.factory:fresh_model",
        "glo.training.population:_Population.__init__",
        "glo.training.population:_Population._prepare",
        "glo.training.population:check_stackable",
    ),
    "estimate of memory": ("glo.training.memory:chunk_size", "glo.training.memory:free_memory"),
    FORWARD: (
        "glo.training.layers:Linear.forward",
        "glo.training.layers:Activation.forward",
        "glo.training.stacked:ChainModel.step",
    ),
    "backward pass": ("glo.training.layers:Linear.backward", "glo.training.layers:Activation.backward"),
    "updates of parameters": (
        "glo.training.parameters:StackedParameter.update",
        "glo.training.parameters:StackedParameter.update_by_product",
        "glo.training.optimizers:StackedOptimizer.step",
    ),
    EVALUATION: ("glo.training.population:_Population._measure", "glo.training.stacked:ChainModel.outputs"),
    "evaluation: metrics": ("glo.training.measurement:measure", "glo.tasks.definition:Task.score"),
    "rungs": ("glo.training.population:_Population._give_up", "glo.training.checkpoints:checkpoints"),
    "chance": ("glo.tasks.definition:Task.chance",),
}


@dataclass
class Stopwatch:
    """The seconds of each stage in this process, without those of the stages inside it.

    Attributes:
        cpu: CPU seconds by stage.
        wall: seconds of the clock by stage.
        calls: how often a stage began.
        running: the stages that have begun, the innermost last.
    """

    cpu: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    _last: tuple[float, float] = (0.0, 0.0)

    def enter(self, stage: str) -> None:
        self._lap()
        self.running.append(stage)
        self.calls[stage] = self.calls.get(stage, 0) + 1

    def leave(self) -> None:
        self._lap()
        self.running.pop()

    def reset(self) -> None:
        """In a forked process, which has spent nothing yet."""
        self.cpu, self.wall, self.calls, self.running = {}, {}, {}, []

    def _lap(self) -> None:
        now = time.process_time(), time.perf_counter()
        if self.running:
            stage = self.running[-1]
            self.cpu[stage] = self.cpu.get(stage, 0.0) + now[0] - self._last[0]
            self.wall[stage] = self.wall.get(stage, 0.0) + now[1] - self._last[1]
        self._last = now


def profiled(work: Callable[[], Any]) -> Row:
    """The seconds of each stage of some work, in this process and in those that it forks."""
    watch, driver = Stopwatch(), os.getpid()
    os.register_at_fork(after_in_child=watch.reset)
    with tempfile.TemporaryDirectory() as folder:

        def write() -> None:
            if os.getpid() != driver:
                spent = {"cpu": watch.cpu, "calls": watch.calls, "all": time.process_time()}
                (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(spent), encoding="utf-8")

        with _wrapped(watch, write):
            cpu, own, started = cpu_seconds(), time.process_time(), time.perf_counter()
            work()
            wall, own, cpu = time.perf_counter() - started, time.process_time() - own, cpu_seconds() - cpu
        children = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*.json")]
    trained = {stage: 0.0 for child in children for stage in child["cpu"]}
    for child in children:
        for stage, seconds in child["cpu"].items():
            trained[stage] += seconds
    calls = sum(watch.calls.values()) + sum(sum(child["calls"].values()) for child in children)
    in_processes = max(0.0, cpu - own)
    trained["starts and ends of processes"] = max(0.0, in_processes - sum(trained.values()))
    outside = {"outside of all stages": max(0.0, own - sum(watch.cpu.values()))}
    stages = [*_rows("driver", {**watch.cpu, **outside}, cpu, watch.wall), *_rows("processes", trained, cpu, {})]
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "driver_cpu_s": own,
        "processes": len(children),
        "stopwatch_share": calls * _cost_of_a_call() / cpu,
        "stages": sorted(stages, key=lambda each: -each["cpu_s"]),
    }


def _rows(where: str, cpu: Mapping[str, float], total: float, wall: Mapping[str, float]) -> list[Row]:
    return [
        {"where": where, "stage": stage, "cpu_s": seconds, "share": seconds / total, "wall_s": wall.get(stage)}
        for stage, seconds in cpu.items()
    ]


@contextmanager
def _wrapped(watch: Stopwatch, write: Callable[[], None]) -> Iterator[None]:
    """Every function of `STAGES` in the stopwatch, wherever glo has imported it."""
    undo: list[Callable[[], None]] = []
    try:
        for stage, names in STAGES.items():
            for name in names:
                owner, attribute = resolved(name)
                function = vars(owner)[attribute]
                timed = _timed(watch, stage, function, write if name == PART else None)
                for place, known_as in [(owner, attribute), *_imported(function)]:
                    undo.append(functools.partial(setattr, place, known_as, function))
                    setattr(place, known_as, timed)
        yield
    finally:
        for restore in reversed(undo):
            restore()


def resolved(name: str) -> tuple[Any, str]:
    """The module or class that has a function of `STAGES`, and the function's name in it.

    Raises:
        AttributeError: if there is no such function; `STAGES` has to follow the code.
    """
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, attribute = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    if attribute not in vars(owner):
        raise AttributeError(f"the profile names {name}, which does not exist: correct STAGES in benchmarks/profile.py")
    return owner, attribute


def _imported(function: Any) -> list[tuple[Any, str]]:
    """The modules of glo that have imported a function by its name."""
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in ("glo", "benchmarks")]
    return [(module, name) for module in modules for name, value in list(vars(module).items()) if value is function]


def _timed(watch: Stopwatch, stage: str, function: Callable[..., Any], after: Callable[[], None] | None) -> Any:
    @functools.wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        watch.enter(_stage_of(watch, stage, arguments))
        try:
            return function(*arguments, **options)
        finally:
            watch.leave()
            if after is not None:
                after()

    return timed


def _stage_of(watch: Stopwatch, stage: str, arguments: tuple[Any, ...]) -> str:
    """The name of the stage, which for a check and a forward pass depends on what it is for."""
    if stage == "check":
        return f"check: {arguments[1]}"
    return EVALUATION if stage == FORWARD and EVALUATION in watch.running else stage


def _cost_of_a_call(calls: int = 20_000) -> float:
    """Seconds that the stopwatch adds to a call."""
    timed = _timed(Stopwatch(), "", lambda: None, None)
    started = time.process_time()
    for _ in range(calls):
        timed()
    return (time.process_time() - started) / calls


def search(small: bool) -> None:
    """The whole default search on noisy-digits, with its confirmation."""
    size: dict[str, Any] = {"generations": 2, "population": 6, "steps": 20} if small else {}
    with tempfile.TemporaryDirectory() as folder:
        Study("noisy-digits", name="profile", storage=f"{folder}/glo.db").search(**size)


def demo(small: bool) -> None:
    """`glo demo`: a search, and a comparison with the whole shelf."""
    tiny = DemoConfig(generations=1, population=6, steps=20, finalists=2, tuning_seeds=1, run_off=0, repeats=2)
    with tempfile.TemporaryDirectory() as folder:
        run_demo(tiny if small else DemoConfig(), Path(folder))


WORKS: dict[str, Callable[[bool], None]] = {"search": search, "demo": demo}


def table(name: str, found: Row, least: float = 0.005) -> Table:
    """The stages with at least this share of the CPU time."""
    title = f"{name}: {found['wall_s']:.1f} s, {found['cpu_s']:.1f} CPU seconds"
    made = Table(title=title)
    for column in ("where", "stage", "CPU s", "share", "s of the clock"):
        made.add_column(column)
    for each in found["stages"]:
        if each["share"] >= least or (each["wall_s"] or 0.0) >= least * found["wall_s"]:
            wall = "" if each["wall_s"] is None else f"{each['wall_s']:.2f}"
            made.add_row(each["where"], each["stage"], f"{each['cpu_s']:.2f}", f"{each['share']:.1%}", wall)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("works", nargs="*", choices=[[], *WORKS], metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--small", action="store_true", help="profile next to nothing, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("build/profile.json"), help="the JSON file")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results/profile.json instead")
    given = parser.parse_args(arguments)
    out: Path = PUBLISHED if given.publish else given.out
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    known: Row = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    for name in given.works or WORKS:
        print(f"{name}: {(WORKS[name].__doc__ or '').rstrip('.')} ...", flush=True)
        found = {**profiled(functools.partial(WORKS[name], given.small)), "provenance": provenance()}
        known[name] = found
        write_text(out, json.dumps(known, indent=1) + "\n")
        Console(width=110).print(table(name, found))
    print(f"written: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
