"""The record of a study: find it, read its result, and go on with its configuration."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from glo.errors import MissingStoreError, ReplayError, StudyError
from glo.provenance import versions
from glo.records import PhaseKind
from glo.store import GenerationRecord, Store, StudyRecord, without_password
from glo.study.composing import changed, differences, enough_generations, validated
from glo.study.config import StudyConfig
from glo.study.history import in_generations
from glo.study.result import StudyResult
from glo.study.state import state_of


def find_record(storage: str | Path, name: str) -> StudyRecord | None:
    """The record of a study; None if there is none, or no store yet."""
    try:
        with closing(Store(storage, create=False)) as store:
            return next((record for record in store.studies() if record.name == name), None)
    except MissingStoreError:
        return None


def refusal(record: StudyRecord | None, name: str, storage: str | Path) -> StudyError:
    """The error for a study that is missing, or that exists and should not."""
    where = without_password(storage)
    if record is None:
        return StudyError(f"there is no study '{name}' in {where}: start it with search, tune or enumerate")
    return StudyError(f"there is already a study '{name}' in {where}: glo resume {name}, or use another --name")


def continued(record: StudyRecord, kinds: Sequence[PhaseKind], given: Sequence[Mapping[str, Any]]) -> StudyConfig:
    """The configuration to go on with: the recorded one, with the phases that are not recorded yet.

    The options of an added phase are free, and a search that is only resumed may get more generations; all others must be as
    recorded.  Of the task, the name of the metric and the options of its own may change, and may be missing in the record:
    `task.digest` says whether the metric itself is another one, and the study has its training options.

    Args:
        record: of the study.
        kinds: of the phases that are asked for; none to resume.
        given: layers of nested values that are asked for, a later one wins; None means as recorded.

    Raises:
        ReplayError: naming each version and option that differs from the record.
    """
    recorded = validated(record.config)
    added = [kind for kind in kinds if kind not in recorded.phases]
    config = changed(recorded, *given, {"phases": [*recorded.phases, *added]})
    free: dict[str, Any] = {"phases": config.phases}
    free["task"] = recorded.task.model_copy(update=config.task.model_dump(include={"metric", "training"}))
    for kind in added:
        if kind is not PhaseKind.OWN:
            free[kind.value] = getattr(config, kind.value)  # the table of its options has the name of the phase
    if PhaseKind.GENETIC in added:
        if not any(layer.get("generations") is not None for layer in given):
            config = changed(config, {"generations": enough_generations(config.model_dump(mode="json"))})
        free |= {name: getattr(config, name) for name in ("generations", "trials", "confirmation")}
    extensible = recorded.phases == (PhaseKind.GENETIC,) and recorded.trials is None
    if not kinds and extensible:
        free["generations"] = max(recorded.generations, config.generations)  # as if time had ended the search
    differing = [
        f"{key} is {record.versions.get(key, '?')} there and {now} here"
        for key, now in versions().items()
        if record.versions.get(key) != now
    ]
    differing += differences(recorded.model_copy(update=free).model_dump(mode="json"), config.model_dump(mode="json"))
    if differing:
        more = (
            f"; for more generations: resume(generations=), or glo resume {record.name} --generations {config.generations}"
        )
        hint = more if extensible and config.generations > recorded.generations else ""
        raise ReplayError(
            f"study '{record.name}' was recorded differently: {'; '.join(differing)}; "
            f"use what was recorded, or start a new study under another name{hint}"
        )
    return config


def recorded_result(store: Store, name: str) -> StudyResult:
    """A study as far as it is recorded; nothing is computed, and its task is not loaded.

    Raises:
        StudyError: if there is no such study.
    """
    record = store.study(name)
    config = validated(record.config)
    return StudyResult(name, config, record.versions, in_generations(config, store.generations(name)))


def rescue(
    storage: str | Path, name: str, config: StudyConfig, known: Mapping[str, str], history: Sequence[GenerationRecord]
) -> Path:
    """Record a study, whose store is lost, in a new one beside it; returns its path.

    Raises:
        StoreError: if that cannot be written either.
    """
    lost = Path(str(storage).removeprefix("sqlite:///"))
    path = next(path for n in itertools.count(1) if not (path := lost.with_name(f"{lost.stem}-rescued-{n}.db")).exists())
    with closing(Store(path)) as store:
        store.create_study(name, config.model_dump(mode="json"), known)
        for record in history:
            store.record(name, record)
    return path


def study_states(store: Store) -> list[dict[str, Any]]:
    """The studies of a store, how far they are, and the best loss of each so far, as JSON-like data."""
    states: list[dict[str, Any]] = []
    for record in store.studies():
        config, history = validated(record.config), store.generations(record.name)
        result = StudyResult(record.name, config, record.versions, in_generations(config, history))
        best = next(iter(result.finalists(1)), None)
        states.append(
            {
                "name": record.name,
                "task": result.config.task.name,
                "preset": result.config.preset,
                "seed": result.config.seed,
                "generations": len(result.history),
                "planned": result.config.planned,
                "fitness": best.fitness if best else None,
                "expression": best.expression if best else None,
                "created": record.created,
                "state": state_of(config, history, store.is_running(record.name)).value,
            }
        )
    return states
