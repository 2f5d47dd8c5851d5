"""Everything that needs a GPU, in parts, for half an hour on one card; it goes on where it stopped.

    python -m benchmarks.gpu_all [--out gpu-results] [--minutes 25] [--only PART ...] [--list] [--dry-run]

Each part is a process with a time limit of its own.  When it ends, its result is in OUT/PART.json, and what it printed in
OUT/PART.log; the same command skips the parts that are done, and tries those again that failed or were out of time.  With
--dry-run every part runs at a tiny size, on the CPU where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.gpu_parts import PARTS as MEASUREMENTS
from benchmarks.results import provenance
from glo.errors import ConfigError, GloError
from glo.report import write_text

ROOT = Path(__file__).parents[1]
EXPERIMENTS = (
    "binary-losses", "mnist-accuracy", "mnist-curves", "mnist-data", "output-histograms", "cifar-transfer", "noise",
)  # fmt: skip
SEEDS = (0, 1, 2)  # of the discovery
LEAST = 5.0  # seconds that have to be left for the next part to begin
TAIL = 2000  # characters of what a part has printed last
Status = Literal["done", "failed", "timed out", "interrupted"]


@dataclass(frozen=True)
class Part:
    """A process to run.

    Attributes:
        name: of its files.
        command: what to run; "{out}" is the folder.
        result: the JSON file in the folder that the command writes; empty if it writes none.
        minutes: it is killed after that.
    """

    name: str
    command: tuple[str, ...]
    result: str = ""
    minutes: float = 5.0


def parts(dry_run: bool) -> list[Part]:
    """All parts, the short ones that others rest on first."""
    python, small = sys.executable, ("--small",) if dry_run else ()
    tests = "tests/training/test_devices.py" if dry_run else "tests"
    scale = "smoke" if dry_run else "paper"
    found = [Part("tests", (python, "-m", "pytest", "-m", "gpu", tests), minutes=4)]
    for name in MEASUREMENTS:
        file = f"{name}-result.json"
        found.append(Part(name, (python, "-m", "benchmarks.gpu_parts", name, f"{{out}}/{file}", *small), file))
    experiment = (python, "-m", "glo", "experiment", "run")
    for name in EXPERIMENTS:
        words = (*experiment, name, "--scale", scale, "--out", "{out}/paper")
        found.append(Part(f"experiment-{name}", words, f"paper/{name}-{scale}.json", minutes=8))
    for seed in SEEDS:
        words = (*experiment, "discovery", "--scale", scale, "--seed", str(seed), "--out", f"{{out}}/discovery-{seed}")
        found.append(Part(f"discovery-{seed}", words, f"discovery-{seed}/discovery-{scale}.json", minutes=12))
    return found


def run_parts(todo: Sequence[Part], out: Path, minutes: float, say: Callable[[str], None]) -> dict[str, Status]:
    """Run the parts that are not done, one after the other, until all are done or time is up.

    Args:
        todo: in this order, but first those that were never tried.
        out: the folder of the results, made if it is missing.
        minutes: for all of them together; a part that is under way then is interrupted.
        say: prints a line of progress.

    Returns:
        The status of each part that is known now; a part that has not begun has none.
    """
    out.mkdir(parents=True, exist_ok=True)
    ends, statuses = time.monotonic() + 60 * minutes, dict[str, Status]()
    todo = sorted(todo, key=lambda part: known_status(part, out) is not None)  # first what was never tried
    for number, part in enumerate(todo, 1):
        label, left = f"[{number}/{len(todo)}] {part.name}", ends - time.monotonic()
        if known_status(part, out) == "done":
            say(f"{label}: done before")
            statuses[part.name] = "done"
        elif left < LEAST:
            say(f"{label}: no time left; the same command goes on here")
        else:
            say(f"{label}: begins; {left / 60:.1f} of {minutes:g} minutes left")
            statuses[part.name] = _run(part, out, left)
            say(f"{label}: {statuses[part.name]}; {out / f'{part.name}.log'}")
    return statuses


def known_status(part: Part, out: Path) -> Status | None:
    """How a part ended in an earlier run, if it did.

    Raises:
        ConfigError: if its file is not one of this script, or its command is another one, as that of a dry run is.
    """
    path = out / f"{part.name}.json"
    if not path.exists():
        return None
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        command, status = known["command"], known["status"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is not a result of a part: remove it, or give another --out") from None
    if command != shlex.join(part.command[1:]):
        raise ConfigError(f"{path} is of another command ({command}): remove it, or give another --out")
    return status


def verdicts(found: Sequence[Part], out: Path) -> list[str]:
    """The goal for the figures of the paper, in words, if all of them are done."""
    figures = [part for part in found if part.name.startswith("experiment-")]
    if len(figures) < len(EXPERIMENTS) or any(known_status(part, out) != "done" for part in figures):
        return []
    seconds = sum(_spent(part, out) for part in figures)
    return [f"the figures of the paper took {seconds / 60:.1f} minutes (goal: less than 60)"]


def _spent(part: Part, out: Path) -> float:
    """The seconds of all tries of a part so far."""
    path = out / f"{part.name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["seconds_of_all_tries"] if path.exists() else 0.0


def _run(part: Part, out: Path, left: float) -> Status:
    """Run a part within its limit, write its result, and return its status."""
    limit, started, before = min(60 * part.minutes, left), time.monotonic(), _spent(part, out)
    words = [word.replace("{out}", str(out.absolute())) for word in part.command]
    log = out / f"{part.name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit)
            status: Status = "failed" if code else "done"
        except subprocess.TimeoutExpired:
            status = "timed out" if limit == 60 * part.minutes else "interrupted"
        finally:
            with suppress(ProcessLookupError):  # also what it has started and left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - started
    found: dict[str, Any] = {
        "part": part.name,
        "command": shlex.join(part.command[1:]),
        "status": status,
        "exit": process.returncode,
        "seconds": seconds,
        "seconds_of_all_tries": before + seconds,
        "tail": log.read_text(encoding="utf-8", errors="replace")[-TAIL:],
        "result": _result(out / part.result) if part.result and status == "done" else None,
        "provenance": provenance(),
    }
    write_text(out / f"{part.name}.json", json.dumps(found, indent=1) + "\n")
    return status


def _result(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_all", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="the folder of the results; by default gpu-results, or gpu-dry-run")
    parser.add_argument("--minutes", type=float, default=25, help="for all parts together")
    parser.add_argument("--only", action="append", metavar="PART", help="one part; may be repeated")
    parser.add_argument("--list", action="store_true", help="say what would run, and end")
    parser.add_argument("--dry-run", action="store_true", help="every part at a tiny size, on the CPU where there is no GPU")
    given = parser.parse_args(arguments)
    started, todo = time.monotonic(), parts(given.dry_run)
    if given.list:
        for part in todo:
            print(f"{part.name:28}{part.minutes:4.0f} min  {shlex.join(part.command[1:])}")
        return 0
    try:
        if unknown := set(given.only or ()) - {part.name for part in todo}:
            raise ConfigError(f"no part {', '.join(sorted(unknown))}: --list shows them")
        _check_device(given.dry_run)
        todo = [part for part in todo if not given.only or part.name in given.only]
        out = given.out or Path("gpu-dry-run" if given.dry_run else "gpu-results")
        statuses = run_parts(
            todo, out, given.minutes, lambda text: print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)
        )
    except GloError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line in verdicts(todo, out):
        print(line)
    missing = [part.name for part in todo if statuses.get(part.name) != "done"]
    print(f"not done: {', '.join(missing)}" if missing else f"all done: {out}")
    return 1 if missing else 0


def _check_device(dry_run: bool) -> None:
    import torch

    if not dry_run and not torch.cuda.is_available():
        raise ConfigError("PyTorch finds no GPU; --dry-run runs every part at a tiny size on the CPU")


if __name__ == "__main__":
    sys.exit(main())
