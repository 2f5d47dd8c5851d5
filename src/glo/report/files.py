"""Write files atomically: a file is written as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glo.errors import ConfigError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; when the block ends, the file written there replaces `path`.

    Raises:
        ConfigError: if the file cannot be written.
    """
    if not path.name:
        raise ConfigError(f"{path} cannot be written: it is a folder")
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):  # where nothing can be written, nothing can be removed
            draft.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text to a file, atomically.

    Raises:
        ConfigError: if the file cannot be written.
    """
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
