"""Read TOML files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from glo.errors import ConfigError


def read_toml(file: str | Path | None) -> dict[str, Any]:
    """The values of a TOML file; an empty dictionary for None.

    Raises:
        ConfigError: if the file cannot be read or is not TOML.
    """
    if file is None:
        return {}
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply") from None
