"""docs/options.md is what docs/make_options.py makes of the configuration models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import Field

from glo.records import Config

SCRIPT = Path(__file__).parents[2] / "docs" / "make_options.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_options", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    message = "docs/options.md is out of date: run `make docs` and commit the result"
    assert script.PAGE.read_text(encoding="utf-8") == script.options_page(), message


def test_a_row_has_type_limits_default_and_meaning(script: ModuleType) -> None:
    class Oven(Config):
        """An oven.

        Attributes:
            heat: of the plate | or of the air,
                in degrees.
            low, high: limits.
        """

        heat: float = Field(default=1.5, gt=0, le=300)
        low: tuple[int, ...]
        high: int | None = None

    rows = script.table(Oven).splitlines()[2:]
    assert rows[0] == r"| `heat` | number > 0 and ≤ 300 | `1.5` | heat of the plate \| or of the air, in degrees. |"
    assert rows[1] == "| `low` | list of whole numbers | required | limits. |"
    assert rows[2] == "| `high` | whole number or none | none | limits. |"


def test_an_option_without_a_meaning_is_an_error(script: ModuleType) -> None:
    class Oven(Config):
        """An oven.

        Attributes:
            heat: in degrees.
        """

        heat: float = 1.5
        minutes: int = 10

    with pytest.raises(ValueError, match="Oven: describe 'minutes'"):
        script.table(Oven)
