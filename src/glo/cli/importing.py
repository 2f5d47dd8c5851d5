"""`glo import`: a study from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glo.cli import options
from glo.cli.output import command_line
from glo.cli.streams import print_json, say


def import_(
    file: Annotated[Path, typer.Argument(help="Written by glo export --study NAME --format study.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the study, if it is to have another one.")] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    json: options.Json = False,
) -> None:
    """Add a study from a file to a store, with its history, its origins and its judgement.

    The history is the same to the byte.  A damaged file is refused, and leaves the store as it was.
    """
    from contextlib import closing

    from glo.errors import ConfigError, GloError, StudyError
    from glo.store import Store, without_password
    from glo.study.transfer import read_study_text

    try:
        study = read_study_text(file.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (GloError, UnicodeDecodeError) as error:
        raise StudyError(f"{file} cannot be imported: {error}") from None
    with closing(Store(storage)) as store:
        store.add(study)
    where, imported = without_password(storage), study.record.name
    if json:
        print_json({"name": imported, "generations": study.record.generations, "storage": where})
        return
    say(f"Imported study '{imported}' ({study.record.generations} generations) into {where}.")
    say(command_line("glo report", imported, storage=None if storage == options.DEFAULT_STORAGE else where))
