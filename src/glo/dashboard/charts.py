"""Charts of several studies."""

from __future__ import annotations

from collections.abc import Sequence

from glo.report.charts import Chart, Line, Mark, axis
from glo.report.content import StudyContent
from glo.report.figures import best_so_far, steps

SERIES = 6  # styles in the style sheet; further studies repeat them


def progress_charts(contents: Sequence[StudyContent]) -> list[Chart]:
    """The best fitness so far by candidates trained, a chart for each task and metric: others cannot be compared.

    A study of an earlier version, whose metric is not known, is drawn beside one of the same task.
    """
    known = {(each.task, each.direction): each.fitness_label for each in reversed(contents) if each.metric}
    groups: dict[tuple[str, str], list[StudyContent]] = {}
    for content in contents:
        label = content.fitness_label if content.metric else known.get((content.task, content.direction))
        groups.setdefault((content.task, label or content.fitness_label), []).append(content)
    charts = [_progress(number, task, label, group) for number, ((task, label), group) in enumerate(groups.items())]
    return [chart for chart in charts if chart is not None]


def _progress(number: int, task: str, label: str, contents: Sequence[StudyContent]) -> Chart | None:
    lines: list[Line] = []
    marks: list[Mark] = []
    told: list[str] = []
    legend: list[tuple[str, str]] = []
    for place, content in enumerate(contents):
        points = [(float(found.trained), found.best) for found in best_so_far(content)]
        if not points:
            continue
        style = f"series-{place % SERIES}"
        lines.append(Line(steps(points, points[-1][0]), style))
        marks += [Mark(x, y, style, f"{content.name}: {y:.4f} after {x:.0f} candidates") for x, y in points]
        legend.append((style, content.name))
        told.append(f"{content.name} reaches {points[-1][1]:.4f} with {points[-1][0]:.0f} candidates")
    if not lines:
        return None
    return Chart(
        f"progress-{number}", f"Progress on {task}", f"The best {label} so far, by candidates trained: {'; '.join(told)}.",
        axis("candidates trained", [mark.x for mark in marks], integers=True), axis(label, [mark.y for mark in marks]),
        lines, marks, legend=legend, width=640, height=320,
    )  # fmt: skip
