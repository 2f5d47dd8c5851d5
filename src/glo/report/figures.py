"""The charts of a study: its losses, its comparison, its progress, and the sizes of its candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glo.expr import Expr, derivative, evaluate
from glo.records import Link, PhaseKind, Status
from glo.report.charts import Axis, Chart, Line, Mark, axis, row_axis
from glo.report.content import Candidate, ShownLoss, StudyContent
from glo.report.plots import DRAWN_AT
from glo.report.sizes import Sized

STYLES = ("found", "standard", "shelf")  # of the losses that are drawn, in their order
POINTS = 200
ROW = 38  # height of a row


def words(name: str) -> str:
    """The name of a loss for people: "label_smoothing" is "label smoothing"."""
    return name.replace("_", " ")


def curves(losses: Sequence[ShownLoss], link: Link) -> list[Chart]:
    """f and df/dy by the prediction, for each label: panels with a common scale for all losses."""
    ends = (-3.0, 3.0) if link is Link.IDENTITY else (0.002, 0.998)
    labels = {1.0: "the label x = 1", 0.0: "the label x = 0"}
    if link is Link.SOFTMAX:
        labels = {1.0: "the right class (x = 1)", 0.0: "a wrong class (x = 0)"}
    y = np.linspace(*ends, POINTS)
    seen = [x for x in labels if any(np.any(derivative(loss.expression, x, y, DRAWN_AT)) for loss in losses)]
    return [_curve_panel(losses, x, labels[x], kind, ends) for kind in ("f", "slope") for x in seen]


def _curve_panel(losses: Sequence[ShownLoss], x: float, label: str, kind: str, ends: tuple[float, float]) -> Chart:
    y = np.linspace(*ends, POINTS)
    function = evaluate if kind == "f" else derivative
    drawn = [(loss, function(loss.expression, x, y, DRAWN_AT)) for loss in losses]
    inner = np.concatenate(
        [values[POINTS // 12 : -POINTS // 12] for _, values in drawn]
    )  # a pole at an end would flatten it
    what = "f" if kind == "f" else "df/dy"
    title = f"{what} for {label}"
    told = "; ".join(f"{words(loss.name)} {_ends(loss.expression, function, x, ends)}" for loss, _ in drawn)
    return Chart(
        f"{kind}-{x:.0f}", title, f"{title}, by the prediction y from {ends[0]:g} to {ends[1]:g}. {told}.",
        axis("prediction y", ends, exact=True), axis(what, [*inner.tolist(), 0.0]),
        lines=[
            Line([(ends[0], 0.0), (ends[1], 0.0)], "zero"),
            *(Line(list(zip(y.tolist(), values.tolist(), strict=True)), style)
              for style, (_, values) in reversed(list(zip(STYLES, drawn, strict=False)))),
        ],
        legend=[(style, words(loss.name)) for style, loss in zip(STYLES, losses, strict=False)],
        height=240,
    )  # fmt: skip


def _ends(expression: Expr, function: Any, x: float, ends: tuple[float, float]) -> str:
    """A curve in words: its values near both ends and in the middle."""
    span = ends[1] - ends[0]
    at = [ends[0] + share * span for share in (0.1, 0.5, 0.9)]
    values = function(expression, x, np.array(at), DRAWN_AT)
    return ", ".join(f"{value:.3g} at {place:.2g}" for value, place in zip(values, at, strict=True))


def ordered_rows(judgement: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The losses of a comparison: the discovered one, the standard one, then the others, the best first."""
    comparison = judgement["comparison"]
    rows = list(comparison["losses"].items())
    sign = 1 if comparison["direction"] == "maximize" else -1
    return rows[:2] + sorted(rows[2:], key=lambda row: -sign * row[1]["mean"])


def row_name(name: str, row: Mapping[str, Any]) -> str:
    """The name of a loss with its parameter."""
    return f"{words(name)} {row['variant']}".strip() if name != "discovered" else "discovered"


def _row_style(number: int) -> str:
    return STYLES[number] if number < 2 else "shelf"


def seeds_chart(judgement: Mapping[str, Any]) -> Chart:
    """Every fresh seed of every loss on test, with the mean and its 95 % interval."""
    from scipy import stats

    rows = ordered_rows(judgement)
    names = [row_name(name, row) for name, row in rows]
    lines: list[Line] = []
    marks: list[Mark] = []
    for number, (name, (_, row)) in enumerate(zip(names, rows, strict=True)):
        style = _row_style(number)
        half = float(stats.t.ppf(0.975, row["n"] - 1)) * row["sd"] / math.sqrt(row["n"]) if row["n"] > 1 else 0.0
        lines.append(Line([(row["mean"] - half, number), (row["mean"] + half, number)], f"interval {style}"))
        marks += [Mark(value, number, f"seed {style}", f"{name}, one seed: {value:.4f}") for value in row["values"]]
        text = f"{name}: mean {row['mean']:.4f}, 95 % interval {row['mean'] - half:.4f} to {row['mean'] + half:.4f}"
        marks.append(Mark(row["mean"], number, f"mean {style}", text))
    metric = judgement["comparison"]["metric"]
    title = f"Test {metric} of every seed"
    told = "; ".join(f"{name} {row['mean']:.4f}" for name, (_, row) in zip(names, rows, strict=True))
    return Chart(
        "seeds", title, f"Each point is a training with a fresh seed; bars are 95 % intervals of the means. Means: {told}.",
        axis(f"test {metric}", [value for _, row in rows for value in row["values"]], count=4), row_axis(names),
        lines, marks, rows=True, height=ROW * len(rows) + 48,
    )  # fmt: skip


def gains_chart(judgement: Mapping[str, Any]) -> Chart | None:
    """The gain of the discovered loss over each other one, with its interval; None if there is none."""
    gains = judgement["verdict"]["gains"]
    rows = [(name, row) for name, row in ordered_rows(judgement) if name in gains]
    if not rows:
        return None
    names = [f"over {row_name(name, row)}" for name, row in rows]
    found = [gains[name] for name, _ in rows]
    lines = [Line([(0.0, -0.6), (0.0, len(rows) - 0.4)], "zero")]
    lines += [Line([(each["low"], n), (each["high"], n)], f"interval {_row_style(n + 1)}") for n, each in enumerate(found)]
    texts = [
        f"{name}: {each['difference']:+.4f}, 95 % interval {each['low']:+.4f} to {each['high']:+.4f}"
        for name, each in zip(names, found, strict=True)
    ]
    marks = [
        Mark(each["difference"], n, f"mean {_row_style(n + 1)}", text)
        for n, (each, text) in enumerate(zip(found, texts, strict=True))
    ]
    ends = [0.0, *(each["low"] for each in found), *(each["high"] for each in found)]
    return Chart(
        "gains", "Gain of the discovered loss",
        f"To the right of zero the discovered loss is better; bars are 95 % intervals. {'; '.join(texts)}.",
        axis("gain on test", ends, count=4), row_axis(names), lines, marks, rows=True, height=ROW * len(rows) + 48,
    )  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """What a study has reached with a generation.

    Attributes:
        generation: its number.
        values: fitness of the candidates that it has trained.
        best: fitness so far.
        trained: candidates so far.
    """

    generation: int
    values: Sequence[float]
    best: float
    trained: int


def best_so_far(content: StudyContent) -> list[Reached]:
    """The generations of a study in which something was trained, without those that train candidates again."""
    better = max if content.direction.sign > 0 else min
    reached: list[Reached] = []
    for record in content.history:
        values = [outcome.fitness for outcome in record.outcomes if outcome.status is Status.TRAINED]
        if values and record.phase is not PhaseKind.CONFIRMATION:
            before = [each.best for each in reached[-1:]]
            trained = len(values) + sum(each.trained for each in reached[-1:])
            reached.append(Reached(record.generation, values, better([*before, *values]), trained))
    return reached


def progress_chart(content: StudyContent) -> Chart | None:
    """The best fitness so far and the mean of each generation; None if nothing was trained."""
    reached = best_so_far(content)
    if not reached:
        return None
    means = [(float(each.generation), float(np.mean(each.values))) for each in reached]
    marks: list[Mark] = []
    for each, (number, mean) in zip(reached, means, strict=True):
        text = f"generation {each.generation}: best so far {each.best:.4f}, mean of {len(each.values)} {mean:.4f}"
        marks += [*(Mark(number, value, "trained") for value in each.values), Mark(number, each.best, "found-point", text)]
    turn = f"{'rises' if content.direction.sign > 0 else 'falls'} from {reached[0].best:.4f} to {reached[-1].best:.4f}"
    generations = [float(record.generation) for record in content.history if record.phase is not PhaseKind.CONFIRMATION]
    return Chart(
        "progress", "Fitness by generation",
        f"The best {content.fitness_label} so far, by generation. It {turn}.",
        axis("generation", generations, integers=True), axis(content.fitness_label, [mark.y for mark in marks]),
        [
            Line(means, "mean-line"),
            Line(steps([(float(each.generation), each.best) for each in reached], generations[-1]), "found"),
        ],
        marks, legend=[("found", "best so far"), ("mean-line", "mean of the trained"), ("trained", "each candidate")],
    )  # fmt: skip


def steps(points: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """A line that changes only at its points."""
    stepped: list[tuple[float, float]] = []
    for x, y in points:
        stepped += [(x, stepped[-1][1])] if stepped else []
        stepped.append((x, y))
    return [*stepped, (end, stepped[-1][1])]


def sizes_chart(content: StudyContent, sized: Sequence[Sized]) -> Chart | None:
    """Fitness by size of the expression, with the candidates that no other beats in both; None if nothing was trained.

    Args:
        sized: the candidates with their sizes.
    """
    front = {each.number: each for each in content.front}
    distinct: dict[str, Sized] = {}  # as in the front: each loss once, with its first fitness
    for each in sized:
        if each.candidate.status is Status.TRAINED and each.size:
            distinct.setdefault(each.candidate.fingerprint, each)
    trained = list(distinct.values())
    if not front or not trained:
        return None
    trained.sort(key=lambda each: each.candidate.number not in front)
    corners = sorted((float(each.size), each.candidate.fitness) for each in trained if each.candidate.number in front)
    sizes: Axis = axis("nodes of the expression", [float(each.size) for each in trained], integers=True)
    told = "; ".join(f"{size:.0f} nodes {fitness:.4f}" for size, fitness in corners)
    return Chart(
        "sizes", "Size against fitness",
        f"{content.fitness_label} by size of the expression. The best of each size that no smaller one reaches: {told}.",
        sizes, axis(content.fitness_label, [each.candidate.fitness for each in trained]),
        [Line(steps(corners, sizes.high), "front-line")],
        [_size_mark(each.candidate, each.size, each.candidate.number in front) for each in trained],
        legend=[("front", "no smaller loss is as good"), ("trained", "other candidates")],
    )  # fmt: skip


def _size_mark(candidate: Candidate, size: int, on_front: bool) -> Mark:
    text = f"{candidate.expression}: {candidate.fitness:.4f}, {size} nodes"
    return Mark(float(size), candidate.fitness, "front" if on_front else "trained", text, candidate.number)
