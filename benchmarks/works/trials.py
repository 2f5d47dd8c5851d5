"""What a study adds to each trial of an objective that returns at once, and the share of candidates its checks reject."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator

import glo
from benchmarks.measuring import Row, Run, row
from glo.records import Stage

TRIALS = 200
CHECKS = (Stage.STRUCTURE, Stage.DERIVATIVE, Stage.DESCENT)


def score(trial: glo.Trial) -> float:
    """A number in [0, 1) that depends on the expression alone."""
    return int.from_bytes(hashlib.blake2b(trial.expression.encode(), digest_size=4).digest()) / 2**32


def trials(run: Run) -> Iterator[Row]:
    """Milliseconds of CPU time for each trial of a whole search, and the share of candidates that the checks reject."""
    count, rounds = (10, 1) if run.small else (TRIALS, run.pairs or 5)
    milliseconds: list[float] = []
    checked = rejected = 0
    for number in range(rounds + 1):
        run.report(f"round {number} of {rounds}" if number else "warm-up")
        with tempfile.TemporaryDirectory() as folder:
            study = glo.Study(score, link="softmax", classes=10, storage=f"sqlite:///{folder}/x.db", name="x")
            started = time.process_time()
            result = study.search(trials=count)
            spent = 1e3 * (time.process_time() - started) / count
        if number:
            milliseconds.append(spent)
        counts = [record.funnel for record in result.history]
        checked = sum(each[CHECKS[0]].candidates for each in counts)
        rejected = sum(each[stage].rejected for each in counts for stage in CHECKS)
    what = f"a trial of a function that returns at once, of {count} trials with the funnel: CPU time beside the function"
    yield row("trial-cost", what, milliseconds, "<= 10", "ms")
    what = "share of the candidates of that study that the checks keep from the function"
    yield row("trial-checks", what, [rejected / checked], ">= 0.8", "%", checked=checked, rejected=rejected)
