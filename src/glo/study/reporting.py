"""The report of a study: fill in what its page shows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glo.catalog import STANDARD
from glo.errors import ConfigError
from glo.expr import Expr, parse, with_coefficients
from glo.loss import objective, unit_factor
from glo.records import Link
from glo.report.content import ShownLoss, StudyContent
from glo.report.files import write_text
from glo.report.page import study_page
from glo.store import DEFAULT_STORAGE, Store, without_password
from glo.study.commands import repeating
from glo.study.composing import validated
from glo.study.config import StudyConfig
from glo.study.history import funnel_table, in_generations
from glo.study.result import FrozenTrial, StudyResult
from glo.study.state import State, state_of

STANDARD_NAMES = {Link.SOFTMAX: "cross_entropy", Link.SIGMOID: "binary_cross_entropy", Link.IDENTITY: "mse"}
DISCOVERED = "discovered"  # the name of the found loss in a judgement


def recorded_content(storage: str | Path, name: str) -> StudyContent:
    """What the page of a recorded study shows.

    Raises:
        StudyError: if there is no such study.
    """
    with closing(Store(storage, create=False)) as store:
        record, history, judgement = store.study(name), store.generations(name), store.judgement(name)
        running = store.is_running(name)
    config = validated(record.config)
    result = StudyResult(name, config, record.versions, in_generations(config, history))
    state = state_of(config, history, running)
    return study_content(result, judgement, created=record.created, storage=without_password(storage), state=state)


def write_report(content: StudyContent, path: str | Path) -> Path:
    """Write the page of a study.

    Raises:
        ConfigError: if the file cannot be written.
    """
    write_text(Path(path), study_page(content))
    return Path(path)


def study_content(
    result: StudyResult,
    judgement: Mapping[str, Any] | None,
    *,
    created: str = "",
    storage: str = DEFAULT_STORAGE,
    state: State | None = None,
) -> StudyContent:
    """What the page of a study shows.

    Args:
        judgement: as it is recorded; None if there is none.
        created: when the study began.
        storage: where it is recorded, for the commands.
        state: of the study, if it is known.
    """
    config = result.config
    trials = result.trials
    best = next(iter(result.finalists(1)), None)
    found = None if best is None else _found(best, best.trained)
    use, curves = _to_use(found, judgement, config.unit, config.task.link)
    return StudyContent(
        name=result.name, task=config.task.name, preset=config.preset, seed=config.seed,
        phases=[phase.value for phase in config.phases], objective=config.task.objective, direction=config.task.direction,
        metric=_metric(config, judgement), link=config.task.link, classes=config.task.classes, created=created,
        made=datetime.now(UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00") + " UTC",
        state=_progress(result, state), seeds=result.seeds, history=result.history, candidates=trials, best=best,
        root=_root(result, best), origins=result.origins, front=result.pareto(),
        why_nothing="" if best else result.why_nothing_trained, use=use, found=found, curves=curves,
        judgement=judgement,
        outdated=judgement is not None and judgement.get("history_digest", "") not in ("", result.history_digest()),
        no_judgement=_no_judgement(result, storage), funnel=funnel_table(result.funnel),
        config=config.model_dump(mode="json"), versions=result.versions,
        hardware={} if judgement is None else judgement["comparison"]["hardware"],
        commands=repeating(result, storage, judgement, unjudged=judgement is None and state is State.FINISHED),
    )  # fmt: skip


def _metric(config: StudyConfig, judgement: Mapping[str, Any] | None) -> str:
    """The name of the metric, which a study of an earlier version has only if it was judged."""
    return config.task.metric or (judgement["comparison"]["metric"] if judgement else "")


def _root(result: StudyResult, best: FrozenTrial | None) -> str:
    """The expression of the best as a search made it."""
    if best is None:
        return ""
    tuned = result.tuning is not None and best.expression not in result.origins
    return result.tuning["start"] if result.tuning is not None and tuned else best.expression


def _found(trial: FrozenTrial, expression: Expr) -> ShownLoss:
    options = dict(trial.options)
    if expression.uses("prior"):
        options["prior"] = list(trial.prior)
    return _with_boosting(ShownLoss(DISCOVERED, expression, options, trial.learning_rate))


def _with_boosting(loss: ShownLoss) -> ShownLoss:
    """The loss, with the reason why it is no objective for gradient boosting, or the Hessian that it needs."""
    left_out = [name for name in ("weight", "pos_weight", "ignore_index", "label_smoothing") if name in loss.options]
    if left_out:
        return replace(loss, boosting=f"it is computed with {', '.join(left_out)}")
    link = Link.named(loss.options.get("link", Link.SOFTMAX))
    reason = ""
    for hessian in ("absolute", "constant"):
        try:
            objective(loss.expression, link, hessian=hessian)
        except ConfigError as error:
            reason = reason or str(error)
        else:
            return replace(loss, hessian=hessian)
    return replace(loss, boosting=reason)


def _to_use(
    found: ShownLoss | None, judgement: Mapping[str, Any] | None, unit: tuple[Any, ...] | None, link: Link
) -> tuple[ShownLoss | None, list[ShownLoss]]:
    """The loss that the verdict recommends, and those to draw.

    These are the found one, the standard one, and of the shelf that which the verdict recommends, else the best.
    """
    if found is None:
        return None, []
    if judgement is None:
        factor = 1.0 if unit is None else unit_factor(STANDARD[link], *unit) or 1.0
        standard = ShownLoss(STANDARD_NAMES[link], with_coefficients(STANDARD[link], {0: factor}))
        return found, [found, standard]
    rows = judgement["comparison"]["losses"]
    known = {name: _known(name, row, found) for name, row in rows.items()}
    use = known.get(judgement["verdict"]["use"], found)
    sign = 1 if judgement["comparison"]["direction"] == "maximize" else -1
    best = judgement["verdict"]["use"]
    shelf = sorted(list(rows)[2:], key=lambda name: (name != best, -sign * rows[name]["mean"]))
    return use, [known.get(DISCOVERED, found), *(known[name] for name in [*list(rows)[1:2], *shelf[:1]])]


def _known(name: str, row: Mapping[str, Any], found: ShownLoss) -> ShownLoss:
    """A loss of a comparison, which was trained with the options of the found one."""
    expression = with_coefficients(parse(row["expression"]), {0: row["scale"]})
    label = f"{name} {row['variant']}".strip() if name != DISCOVERED else name
    return _with_boosting(ShownLoss(label, expression, found.options, row["learning_rate"]))


def _progress(result: StudyResult, state: State | None) -> str:
    """How far the study is."""
    done, planned = len(result.history), result.config.planned
    if not done:
        return "Nothing is recorded yet."
    count = f"{len(result.trials):,} candidates in {done} generation{'s' * (done != 1)}"
    if planned is not None and done < planned and state is not State.FINISHED:
        count += f" of {planned}"
    hint = f": glo resume {result.name} goes on" if state is State.STOPPED else ""
    return f"{count}, {state}{hint}." if state else f"{count}."


def _no_judgement(result: StudyResult, storage: str) -> str:
    """Why there is no verdict, and how to get one."""
    if result.config.task.objective:
        return (
            "There is no verdict: an objective trains each loss itself, and the shelf would take hundreds of trials. "
            f"Compare the loss with glo compare --study {result.name}."
        )
    where = "" if storage == DEFAULT_STORAGE else f" --storage {shlex.quote(storage)}"
    return (
        "There is no verdict yet: the loss has not been compared with known ones on the test split. "
        f"glo report {result.name}{where} --judge does that."
    )
