"""Run cases: `python -m tests.differential SEED` prints and checks one, `--cases N --start S` checks many."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch

from .cases import make_case
from .check import checked
from .report import Report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="check and print this case only")
    parser.add_argument("--cases", type=int, default=2000, help="how many cases")
    parser.add_argument("--start", type=int, default=0, help="seed of the first case")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.seed is not None:
        print(make_case(options.seed))
        return _print_case(checked(options.seed))
    seeds = range(options.start, options.start + options.cases)
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes, initializer=partial(torch.set_num_threads, 1)) as pool:
        reports = list(_printed(pool.map(checked, seeds, chunksize=20), len(seeds)))
    print(summary(reports), f"{time.monotonic() - started:.0f} seconds", sep="\n")
    return int(any(report.failures for report in reports))


def _print_case(report: Report) -> int:
    print(f"{report.compared} comparisons; {', '.join(report.facts)}")
    print(*(f"set aside: {line}" for line in report.set_aside), *(f"FAILED: {line}" for line in report.failures), sep="\n")
    return int(bool(report.failures))


def _printed(reports: Iterable[Report], total: int) -> Iterable[Report]:
    """The reports; failures are printed at once, and progress now and then."""
    for done, report in enumerate(reports, 1):
        for line in report.failures:
            print(f"FAILED {report.seed} {make_case(report.seed).kind}: {line}", flush=True)
        if done % 5000 == 0:
            print(f"{done} of {total}", file=sys.stderr, flush=True)
        yield report


def summary(reports: list[Report]) -> str:
    """Counts over all reports, and the seeds of the failures."""
    failed = [report.seed for report in reports if report.failures]
    aside = sum(bool(report.set_aside) for report in reports)
    comparisons, set_aside = (sum(n) for n in zip(*((r.compared, len(r.set_aside)) for r in reports), strict=True))
    facts = Counter(fact.split(":")[0] for report in reports for fact in report.facts)
    return "\n".join(
        [
            f"{len(reports)} cases, {len(failed)} failed: {failed[:100]}",
            f"{len(reports) - aside} compared fully, {aside} ({aside / len(reports):.2%}) set aside in part",
            f"{comparisons} comparisons, {set_aside} ({set_aside / max(1, comparisons):.3%}) set aside",
            ", ".join(f"{count} {fact}" for fact, count in facts.most_common()),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
