"""Write the tables of docs/benchmarks.md from the JSON files in benchmarks/results: `python -m benchmarks.page`.

A table stands between two markers, which name it; the prose around them is written by hand.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.measuring import Row
from benchmarks.results import RESULTS, goal_met, read_rows, shown
from glo.errors import ConfigError
from glo.report import write_text

PAGE = RESULTS.parents[1] / "docs" / "benchmarks.md"
BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
SMALLEST = 0.01  # share of the CPU time of a stage that is shown
PRECISIONS = ("float32", "tf32", "bfloat16")


def bench() -> str:
    """The rows of `make bench` and `make bench-full`, and where they were measured."""
    rows = read_rows(RESULTS / "bench.json")
    lines = [
        [row["what"], _goal(row), shown(row["value"], row["unit"]), _range(row), _taken(row), goal_met(row)] for row in rows
    ]
    return _table(["work", "goal", "median", "range", "seconds of the clock; of all cores", ""], lines) + _measured(
        [row["provenance"] for row in rows]
    )


def profile() -> str:
    """The stages of the profiled searches, side by side."""
    found: dict[str, Row] = json.loads((RESULTS / "profile.json").read_text(encoding="utf-8"))
    stages: dict[tuple[str, str], dict[str, Row]] = {}
    for name, one in found.items():
        for stage in one["stages"]:
            stages.setdefault((stage["where"], stage["stage"]), {})[name] = stage
    large = [(key, each) for key, each in stages.items() if max(stage["share"] for stage in each.values()) >= SMALLEST]
    lines = [
        [where, stage, *(_share(each.get(name)) for name in found)]
        for (where, stage), each in sorted(large, key=lambda item: -max(stage["share"] for stage in item[1].values()))
    ]
    small = {name: 1 - sum(each[name]["share"] for _, each in large if name in each) for name in found}
    lines.append(["", "all that is smaller", *(f"{100 * share:.1f} %" for share in small.values())])
    totals = [f"{name}: {one['wall_s']:.1f} s, {one['cpu_s']:.1f} CPU s" for name, one in found.items()]
    return _table(["where", "stage", *totals], lines) + _measured([one["provenance"] for one in found.values()])


def gpu() -> str:
    """80 networks on a GPU, in three precisions."""
    found = json.loads((RESULTS / "gpu.json").read_text(encoding="utf-8"))
    by_name: dict[str, Row] = {row["what"]: row for row in found["rows"]}
    lines: list[list[str]] = []
    for precision in PRECISIONS:
        rows = [by_name[f"80 MNIST networks on a GPU, {precision}: together vs {peer}"] for peer in ("eager", "graph")]
        rates = rows[0]["network_steps_per_second"]
        cells = [cell for row in rows for cell in (f"{rates[_peer(row, precision)]:,.0f}", f"{row['value']:.1f}x")]
        lines.append([precision, f"{rates[f'together {precision}']:,.0f}", *cells])
    header = ["precision", "together", "one by one, eager", "", "one by one, as CUDA graphs", ""]
    return (
        _table(header, lines)
        + f"\n{found['hardware']['gpu']}, PyTorch {found['versions']['torch']}, {found['date'][:10]}.\n"
    )


def _peer(row: Row, precision: str) -> str:
    return f"{row['what'].rpartition(' ')[2]} {precision}"


TABLES = {"bench": bench, "profile": profile, "gpu": gpu}


def with_tables(text: str) -> str:
    """The page with the tables that the JSON files give.

    Raises:
        ConfigError: if a table is named that nothing makes, or one is missing.
    """
    named = [match[2] for match in BLOCK.finditer(text)]
    if sorted(named) != sorted(TABLES):
        raise ConfigError(f"the page has the tables {', '.join(named) or 'none'}, and should have {', '.join(TABLES)}")
    return BLOCK.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", text)


def write_page() -> None:
    """Write the tables into docs/benchmarks.md."""
    write_text(PAGE, with_tables(PAGE.read_text(encoding="utf-8")))


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(row)} |\n".replace("|  |", "| |").replace("|  |", "| |") for row in rows)


def _goal(row: Row) -> str:
    if not row["goal"]:
        return ""
    sign, bound = row["goal"].split()
    return f"{sign} {shown(float(bound), row['unit'])}"


def _range(row: Row) -> str:
    found = row["spread"]
    least, most = (shown(found[key], row["unit"]) for key in ("least", "most"))
    return f"{least} to {most} (n = {found['n']})" if found["n"] > 1 else ""


def _taken(row: Row) -> str:
    """Seconds of each that was compared, if the row has them."""
    walls, cpus = row.get("wall_s"), row.get("cpu_s")
    if not isinstance(walls, dict) or not isinstance(cpus, dict) or len(walls) < 2:
        return ""
    best = row.get("best") or {}
    found = {name: f", best fitness {statistics.mean(values):.3f}" for name, values in best.items()}
    return "; ".join(f"{name} {_median(walls[name])}, {_median(cpus[name])}{found.get(name, '')}" for name in walls)


def _median(value: Any) -> str:
    number = sorted(value)[len(value) // 2] if isinstance(value, list) else value
    return f"{number:.3g}"


def _share(stage: Row | None) -> str:
    return "" if stage is None else f"{100 * stage['share']:.1f} % ({stage['cpu_s']:.2f} s)"


def _measured(provenances: Sequence[dict[str, Any]]) -> str:
    """A sentence: at which commits, on which machines, with which versions, and how much other work there was."""
    commits = dict.fromkeys(str(each["commit"]) for each in provenances)
    machines = dict.fromkeys(
        f"{each['hardware']['cores']} cores of {each['hardware'].get('processor', 'an unnamed processor')}"
        for each in provenances
    )
    versions = dict.fromkeys(f"PyTorch {each['versions']['torch']}" for each in provenances)
    loads = [each["load"] for each in provenances if each["load"] is not None]
    days = sorted({each["date"][:10] for each in provenances})
    busy = f"; load average {min(loads):.1f} to {max(loads):.1f}" if loads else ""
    return (
        f"\nMeasured on {' and '.join(machines)}, {' and '.join(versions)}, at {', '.join(commits)}, "
        f"{' to '.join(dict.fromkeys((days[0], days[-1])))}{busy}.\n"
    )


def main() -> None:
    write_page()
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
