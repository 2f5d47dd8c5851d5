"""The picture of the rooms in docs/architecture.md is the `layers` contract of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def layers() -> list[set[str]]:
    """The rooms of each row, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    return [{room.strip() for room in row.split("|")} for row in contract["layers"]]


def test_the_picture_has_the_rows_of_the_contract() -> None:
    (picture,) = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    rows = re.findall(r'subgraph row\d+ \[" "\]\n    direction TB\n(.*?)\n  end', picture, re.DOTALL)
    assert [set(re.findall(r"^ +(\w+)\[", row, re.MULTILINE)) for row in rows] == layers()
    order = " --> ".join(f"row{number}" for number in range(1, len(rows) + 1))
    assert order in picture


def test_every_room_has_a_paragraph() -> None:
    described = {room for names in re.findall(r"\*\*([\w, ]+)\*\*:", TEXT.replace("\\_", "_")) for room in names.split(", ")}
    assert described == set.union(*layers())
