"""Studies of made-up outcomes, for the tests of what shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glo.compare import Judgement
from glo.compare.comparison import Comparison
from glo.compare.config import ComparisonConfig
from glo.compare.horizons import Horizon
from glo.compare.rows import Contender, rows_of
from glo.compare.statistics import Sample
from glo.compare.verdict import verdict_of
from glo.expr import parse
from glo.records import BINS, Origin, Outcome, PhaseKind, Predicted, Stage, StageCount, Status, TrainingConfig
from glo.store import GenerationRecord
from glo.study import StudyConfig, StudyResult
from glo.study.config import TaskConfig

# A text that is markup, a script, and the end of one; a report shows it as it is.
HOSTILE = """</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">'"&amp;</textarea>"""
ORIGINS = {
    "x*log(y)": Origin("given"),
    "x*y": Origin("random"),
    "log(y) - x/y": Origin("crossover and mutation", ("x*log(y)", "x*y")),
}
PREDICTED = Predicted(((18, 2), (5, 15)), tuple((4 * n, 4 * n * (n + 0.5) / 10, 3 * n) for n in range(10)))


def outcome(expression: str, fitness: float = 0.5, fingerprint: str = "", **values: Any) -> Outcome:
    """A trained candidate."""
    return Outcome(expression, fingerprint or expression, Status.TRAINED, Stage.TRAINING, "", fitness, 0.2, **values)


def rejected(expression: str, reason: str) -> Outcome:
    """A candidate that the funnel has stopped."""
    return Outcome(expression, "", Status.REJECTED, Stage.STRUCTURE, reason)


def generation(number: int, outcomes: Sequence[Outcome], phase: PhaseKind = PhaseKind.GENETIC) -> GenerationRecord:
    funnel = {stage: StageCount(10 * len(outcomes), 2 * len(outcomes), 1.5) for stage in Stage}
    origins = {each.expression: ORIGINS[each.expression] for each in outcomes if each.expression in ORIGINS}
    return GenerationRecord(number, phase, "", list(outcomes), funnel, 2.0, origins)


def result(*generations: Sequence[Outcome], task: str = "digits", **options: Any) -> StudyResult:
    """A study with these generations.

    Args:
        options: of its configuration; those of the task begin with "task_".
    """
    of_task = {key.removeprefix("task_"): value for key, value in options.items() if key.startswith("task_")}
    rest = {key: value for key, value in options.items() if not key.startswith("task_")}
    config = StudyConfig(
        task=TaskConfig(name=task, **{"classes": 10, **of_task}),
        **{"generations": max(1, len(generations)), "training": TrainingConfig(unit_gradient=True), **rest},
    )
    return StudyResult("made-up", config, {"glo": "1.0"}, [generation(n, each) for n, each in enumerate(generations)])


def ordinary() -> StudyResult:
    """A search that got better, with candidates of each kind."""
    return result(
        [outcome("x*log(y)", 0.9), outcome("x*y", 0.7), rejected("x + 1", "it lacks y"), outcome("x*sqrt(y)", 0.85)],
        [
            outcome("x*log(y)", 0.9),
            outcome("log(y) - x/y", 0.93),
            rejected("y", "it lacks x"),
            outcome("-square(x - y)", 0.8),
        ],
    )


def judgement(values: Mapping[str, Sequence[float]] | None = None, counts: Predicted | None = PREDICTED) -> Judgement:
    """A judgement on the loss log(y) - x/y.

    Args:
        values: on test, by loss; the first two are "discovered" and "cross_entropy".
        counts: of the predictions of each loss.
    """
    given = values or {"discovered": (0.95, 0.96, 0.94), "cross_entropy": (0.9, 0.91, 0.92), "gce": (0.93, 0.9, 0.92)}
    losses = {"discovered": "log(y) - x/y", "cross_entropy": "x*log(y)"}
    contenders = {
        name: Contender(parse(losses.get(name, "x*y**0.7/0.7")), "" if name in losses else "q=0.7", 0.2, 0.9, scale=0.5)
        for name in given
    }
    rows = rows_of(contenders, [_sample(each, counts) for each in given.values()])
    comparison = Comparison(
        config=ComparisonConfig(repeats=3), task="digits", metric="accuracy", baseline="discovered",
        horizons=[Horizon(100, rows)], agreement=[], warnings=["a warning"], training=TrainingConfig(), device="cpu",
    )  # fmt: skip
    return Judgement(verdict_of(rows, "accuracy"), comparison)


def _sample(values: Sequence[float], counts: Predicted | None) -> Sample:
    left_out = np.array([float(np.mean(values))] * 20)
    return Sample(tuple(values), left_out=left_out, test_samples=400, predicted=counts, histogram=tuple(range(BINS)))


def many(count: int, generations: int = 50) -> StudyResult:
    """A study with so many candidates, half of them trained, each with a formula of its own."""
    rng = np.random.default_rng(0)
    shapes = ("{c}*x*log(y) + sqrt(y)*(x - {d})", "log(y) - {c}*x/(y + {d})", "x*sqrt(y + {c}) - square(x*{d} - y)")
    outcomes: list[Outcome] = []
    for n in range(count):
        text = str(parse(shapes[n % 3].format(c=round(0.1 + n / 999, 4), d=round(0.3 + n / 777, 4))))
        if n % 2:
            outcomes.append(rejected(text, f"its derivative at y = {n % 7} is not finite"))
        else:
            outcomes.append(outcome(text, float(rng.beta(8, 2))))
    size = -(-count // generations)
    return result(*(outcomes[start : start + size] for start in range(0, count, size)))
