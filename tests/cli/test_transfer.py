"""`glo export --format study` and `glo import`: a study moves between stores, and a damaged or hostile file is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import glo as library
from cli.conftest import Glo, assert_misuse, parsed
from glo.store import Store, WholeStudy
from glo.study.transfer import read_study_text, study_text
from glo.testing.store_whole import made_study

JUDGEMENT = {"verdict": {"text": "α \n", "gain": 1 / 3}, "values": [1e-300, None]}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a study with origins, a confirmation and a judgement."""
    storage = tmp_path_factory.mktemp("searched") / "glo.db"
    study = library.Study("digits", name="first", storage=storage, device="cpu")
    study.search(population=8, generations=3, steps=60, confirm=2)
    with closing(Store(storage)) as store:
        store.record_judgement("first", JUDGEMENT)
        return study_text(store.whole("first"))


def read(storage: Path, name: str) -> WholeStudy:
    with closing(Store(storage, create=False)) as store:
        return store.whole(name)


def test_a_study_moves_between_stores_to_the_byte(glo: Glo, text: str, tmp_path: Path) -> None:
    Path("first.jsonl").write_text(text, encoding="utf-8")
    shown = parsed(glo("import", "first.jsonl", "--storage", "a.db", "--json"))
    assert shown == {"name": "first", "generations": 6, "storage": "a.db"}
    assert glo("export", "--study", "first", "--storage", "a.db", "--format", "study", "-o", "again.jsonl").code == 0
    assert Path("again.jsonl").read_bytes() == Path("first.jsonl").read_bytes()
    assert glo("import", "again.jsonl", "--storage", "b.db", "--name", "second").out.startswith("Imported study 'second'")
    one, other = read(tmp_path / "a.db", "first"), read(tmp_path / "b.db", "second")
    assert (one.generations, one.judgement) == (other.generations, other.judgement)
    assert any(generation.origins for generation in one.generations)
    assert {**one.judgement, "created": None} == {**JUDGEMENT, "created": None} if one.judgement else False
    digests = [
        parsed(glo("runs", name, "--storage", storage, "--json"))["history_digest"]
        for name, storage in (("first", "a.db"), ("second", "b.db"))
    ]
    assert digests[0] == digests[1]


def test_an_imported_study_goes_on(glo: Glo, text: str) -> None:
    Path("first.jsonl").write_text(text, encoding="utf-8")
    glo("import", "first.jsonl")
    found = parsed(glo("resume", "first", "--baselines", "none", "--device", "cpu", "--json"))
    assert found["history_digest"] == parsed(glo("runs", "first", "--json"))["history_digest"]


def test_any_study_is_read_back_as_it_was(text: str) -> None:
    study = read_study_text(text)
    assert study_text(study) == text
    assert study_text(made_study("made")).count("\n") == 5  # head, two generations, judgement, digest


def test_misuse(glo: Glo, text: str) -> None:
    Path("first.jsonl").write_text(text, encoding="utf-8")
    assert_misuse(glo("export", "x*y", "--format", "study"), "give --study NAME, and no expression")
    assert_misuse(glo("export", "--study", "first", "--format", "study", "--eps", "1e-3"), "--eps does nothing for study")
    assert_misuse(glo("import", "nowhere.jsonl"), r"nowhere\.jsonl cannot be read")
    assert_misuse(glo("import", "first.jsonl", "--name", "a b"), "a study's name has letters")
    glo("import", "first.jsonl")
    assert_misuse(glo("import", "first.jsonl"), "already a study 'first'")


Edit = Callable[[list[Any]], object]


def edited(text: str, edit: Edit) -> str:
    """The text with other content, and the digest that belongs to it."""
    parts = [json.loads(line) for line in text.splitlines()[:-1]]
    edit(parts)
    lines = [json.dumps(part) for part in parts]
    return "\n".join([*lines, json.dumps({"sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()})]) + "\n"


def deep(parts: list[Any]) -> None:
    value: list[Any] = []
    for _ in range(500):
        value = [value]
    parts[1]["outcomes"][0]["reports"] = value


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda parts: parts[0].update(glo_study=2), "another version of glo .format 2, this is 1"),
        (lambda parts: parts[0].pop("glo_study"), "not a study"),
        (lambda parts: parts[0]["study"].update(name="../../up"), "a study's name"),
        (lambda parts: parts[0]["study"]["config"].update(evil=1), "no option 'evil'"),
        (lambda parts: parts[0]["study"].update(extra=1), "more than it may have"),
        (lambda parts: parts[0]["study"].update(generations=7), "generations are missing"),
        (lambda parts: parts.pop(2), "generations are missing"),
        (lambda parts: parts.insert(2, parts[1]), "generations are missing"),
        (lambda parts: parts[1].pop("outcomes"), "another form"),
        (lambda parts: parts[1]["outcomes"][0].update(expression="__import__('os')"), "unknown function"),
        (lambda parts: parts[1]["outcomes"][0].update(status="splendid"), "another form"),
        (lambda parts: parts[1]["outcomes"][0].update(fitness=float("nan")), "not a number"),
        (lambda parts: parts[1]["outcomes"][0].update(fitness="0.5"), "more than it may have"),
        (lambda parts: parts[1]["outcomes"][0].update(reason="\0"), "null character"),
        (lambda parts: parts[1]["outcomes"][0].update(reason="\ud800"), "cannot be read"),
        (lambda parts: parts[-1].update(judgement=[1]), "the judgement has another form"),
        (lambda parts: parts.append({"judgement": {"created": "x"}}), "another form"),
        (deep, "another form"),
    ],
)
def test_hostile_files_are_refused(glo: Glo, text: str, edit: Edit, message: str) -> None:
    Path("sent.jsonl").write_text(edited(text, edit), encoding="utf-8")
    assert_misuse(glo("import", "sent.jsonl"), rf"sent\.jsonl cannot be imported: .*{message}")
    assert not Path("glo.db").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b"[1]\n", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b"null\nnull\n"]
)
def test_files_of_something_else_are_refused(glo: Glo, content: bytes) -> None:
    Path("sent.jsonl").write_bytes(content)
    assert_misuse(glo("import", "sent.jsonl"), r"sent\.jsonl cannot be imported")
    assert not Path("glo.db").exists()


def test_every_cut_and_every_changed_character_is_noticed(glo: Glo, text: str) -> None:
    for place in range(0, len(text) - 1, len(text) // 25):
        changed = "0" if text[place] != "0" else "1"
        for damaged in (text[:place], text[:place] + changed + text[place + 1 :]):
            with pytest.raises(library.errors.GloError):
                read_study_text(damaged)
