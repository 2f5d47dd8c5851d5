"""docs/benchmarks.md has the tables that the JSON files of the benchmarks give."""

from __future__ import annotations

import pytest

from benchmarks.page import PAGE, with_tables
from glo.errors import ConfigError


def test_the_page_has_the_numbers_of_the_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, (
        "docs/benchmarks.md is out of date: run `python -m benchmarks.page` and commit the result"
    )


def test_a_number_that_was_edited_is_written_again() -> None:
    text = PAGE.read_text(encoding="utf-8")
    edited = text.replace("| float32 | 2,452 |", "| float32 | 9,999 |")
    assert edited != text
    assert with_tables(edited) == text


def test_every_table_has_its_place() -> None:
    with pytest.raises(ConfigError, match="the page has the tables bench, and should have bench, profile, gpu"):
        with_tables("<!-- table: bench -->\n<!-- end of table -->")
