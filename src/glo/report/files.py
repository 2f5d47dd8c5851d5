"""Files that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glo.errors import ConfigError


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file beside the one that is wanted, which it becomes when it has been written.

    Raises:
        ConfigError: if it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text.

    Raises:
        ConfigError: if it cannot be written.
    """
    with drafted(path) as draft:
        draft.write_text(text, encoding="utf-8")
