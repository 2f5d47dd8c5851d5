"""`python -m tests.soak --kills 1000 --processes 2`: kill studies of every mode, and print a record of what happened."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from soak.kills import CLUSTER, MODES, POSTGRES, WAYS, Record, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--cluster-kills", type=int, default=0, help="further kills, of studies on a local cluster")
    parser.add_argument("--postgres-kills", type=int, default=0, help="further kills, of studies in a PostgreSQL store")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started, shares = time.monotonic(), range(options.processes)
    with ProcessPoolExecutor(options.processes) as pool:
        kills = -(-options.kills // options.processes)
        found = list(pool.map(partial(_share, kills, options.seed), shares))
    record = sum(found, Record())
    for modes, kills in ((CLUSTER, options.cluster_kills), (POSTGRES, options.postgres_kills)):
        if kills:
            record += soak(modes, kills, options.seed, _report)
    print(table(record), f"{time.monotonic() - started:.0f} seconds", sep="\n")
    return int(bool(record.faults))


def _share(kills: int, seed: int, share: int) -> Record:
    return soak(MODES, kills, 1000 * seed + share, _report)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def table(record: Record) -> str:
    """The kills by mode and way, as Markdown."""
    modes = list(dict.fromkeys(mode for mode, _ in record.kills))
    lines = [["way", *modes, "all"], ["---"] * (len(modes) + 2)]
    for way in WAYS:
        counts = [record.kills[mode, way] for mode in modes]
        lines.append([way, *map(str, counts), str(sum(counts))])
    totals = [sum(count for (each, _), count in record.kills.items() if each == mode) for mode in modes]
    lines.append(["all", *map(str, totals), str(sum(totals))])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    ended = f"{record.studies} studies; {record.missed} commands ended before their kill; {len(record.faults)} faults"
    return "\n".join([text, ended, *record.faults])


if __name__ == "__main__":
    sys.exit(main())
