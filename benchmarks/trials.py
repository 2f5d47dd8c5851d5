"""What a study adds to each trial of an objective that returns at once, and the share of candidates its checks reject."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time

import glo
from benchmarks.measuring import Row, row
from glo.records import Stage

TRIALS = 200
CHECKS = (Stage.STRUCTURE, Stage.DERIVATIVE, Stage.DESCENT)


def score(trial: glo.Trial) -> float:
    """A number in [0, 1) that depends on the expression alone."""
    return int.from_bytes(hashlib.blake2b(trial.expression.encode(), digest_size=4).digest()) / 2**32


def trials(repeats: int) -> list[Row]:
    """Milliseconds of CPU time for each trial of a whole search, and the share of candidates that the checks reject."""
    milliseconds: list[float] = []
    checked = rejected = 0
    for number in range(repeats + 1):
        with tempfile.TemporaryDirectory() as folder:
            study = glo.Study(score, link="softmax", classes=10, storage=f"sqlite:///{folder}/x.db", name="x")
            started = time.process_time()
            result = study.search(trials=TRIALS)
            spent = 1e3 * (time.process_time() - started) / TRIALS
        if number:  # the first is a warm-up
            milliseconds.append(spent)
        counts = [record.funnel for record in result.history]
        checked = sum(count[CHECKS[0]].candidates for count in counts)
        rejected = sum(count[stage].rejected for count in counts for stage in CHECKS)
    detail = {"milliseconds": milliseconds, "checked": checked, "rejected": rejected}
    return [
        row("a trial beside the user's function, ms of CPU time", statistics.median(milliseconds), "<= 10", detail),
        row("share of candidates that the checks keep from the function", rejected / checked, ">= 0.8", {}),
    ]
