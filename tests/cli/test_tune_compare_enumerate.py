"""`glo tune`, `glo search --tune`, `glo enumerate`, `glo compare` and `glo show`: what they print, write and refuse."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import pytest

from cli.conftest import Glo, Result, assert_misuse, parsed
from glo.catalog import TEMPLATES

RAW = ["--set", "training.unit_gradient=false"]
SMALL = ["--task", "digits", "--steps", "20", "--device", "cpu"]
TUNING = ["--set", "coefficients.confirmations=2"]
TUNE = [*SMALL, *TUNING, "--iterations", "1", "--population", "4"]
LADDER = ["--learning-rates", "0.1,0.3"]
FEW = ["--set", "genetic.weights={x = 1, y = 1, log = 1, '*' = 1, '-' = 1, '/' = 1}"]
FEW_SEEDS = [*SMALL, "--repeats", "2", "--tuning-seeds", "1"]
COMPARE = [*FEW_SEEDS, "--smoothings", "0.1"]
BAIKAL = "log(y) - x/y"


def words(result: Result) -> str:
    """What was printed, on one line: a table breaks lines where it likes."""
    assert result.code == 0, result.err
    return " ".join(result.out.split())


def refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def test_tune(glo: Glo) -> None:
    found = parsed(glo("tune", "baikal", *TUNE, *LADDER, "--json"))
    tuning = found["tuning"]
    assert (tuning["start"], tuning["which"], tuning["coefficients"], tuning["seeds"]) == (BAIKAL, "effective", 1, 2)
    assert tuning["scale_only"] is False
    rows = tuning["confirmation"]
    assert [row["candidate"] for row in rows] == ["start", "best sample", "mean"]
    assert rows[0]["expression"] == BAIKAL
    best = max(rows, key=lambda row: row["fitness"])
    assert (found["expression"], found["fitness"]) == (best["expression"], best["fitness"])
    assert found["learning_rate"] == best["learning_rate"]
    assert found["learning_rate"] in (0.1, 0.3)
    assert found["fitness"] > 0.3
    assert (found["generations"], found["name"]) == (2, "digits-tune-baikal-0")
    assert found["config"]["phases"] == ["coefficients"]
    assert {"canonical", "latex", "fingerprint", "history_digest", "funnel", "versions", "storage"} <= found.keys()

    (state,) = parsed(glo("runs", "--json"))
    assert (state["name"], state["generations"], state["planned"]) == (found["name"], 2, 2)
    assert (state["expression"], state["fitness"]) == (found["expression"], found["fitness"])
    shown = parsed(glo("runs", found["name"], "--json"))
    assert [row["phase"] for row in shown["history"]] == ["coefficients"] * 4 + ["confirmation"] * 3
    assert shown["tuning"] == tuning

    assert parsed(glo("resume", found["name"], "--json"))["history_digest"] == found["history_digest"]
    printed = words(glo("resume", found["name"]))
    assert f"Tuning 1 coefficient (effective) of {BAIKAL}: fitness on validation, 2 fresh seeds" in printed
    for row in rows:
        assert row["candidate"] in printed
        assert row["expression"] in printed
        assert f"{row['fitness']:.4f}" in printed
    assert f"minus the sum over classes of {found['expression']} fitness {found['fitness']:.4f}" in printed
    assert "mean of 2 seeds" in printed
    assert found["name"] in words(glo("runs"))
    assert_misuse(glo("tune", "baikal", *TUNE, *LADDER), f"already a study '{found['name']}'.*glo resume {found['name']}")


@pytest.mark.parametrize(
    ("arguments", "start", "which", "coefficients"),
    [
        (["baikal", "--coefficients", "all", *LADDER], BAIKAL, "all", 6),
        (["baikal", "--coefficients", "effective", "--learning-rate", "0.1"], BAIKAL, "effective", 1),
        (["baikal", "--learning-rate", "0.1", *RAW], BAIKAL, "effective", 2),
        (["baikal", "--preset", "paper"], BAIKAL, "all", 6),
        (["--template", "taylor3", *LADDER], str(TEMPLATES["taylor3"]), "effective", 5),
        (["--template", "taylor3", "--learning-rate", "0.3", *RAW], str(TEMPLATES["taylor3"]), "effective", 6),
    ],
)
def test_which_coefficients(glo: Glo, arguments: list[str], start: str, which: str, coefficients: int) -> None:
    """At one fixed rate the overall scale is a coefficient too, unless the unit gradient takes its place."""
    found = parsed(glo("tune", *arguments, *TUNE, "--json"))
    tuning = found["tuning"]
    assert (tuning["start"], tuning["which"], tuning["coefficients"]) == (start, which, coefficients)
    assert tuning["scale_only"] is False
    history = parsed(glo("runs", found["name"], "--json"))["history"]
    # Each sample has a number more for each coefficient; six digits of a normal number are never 1.
    numbers = len(re.findall(r"\d*\.\d+|\d+", start))
    assert {len(re.findall(r"\d*\.?\d+(?:e[+-]?\d+)?", row["expression"])) for row in history[:4]} == {
        numbers + coefficients
    }


@pytest.mark.parametrize("rates", [LADDER, ["--learning-rate", "0.1"]])
def test_a_loss_without_a_shape_to_tune_says_so(glo: Glo, rates: list[str]) -> None:
    printed = words(glo("tune", "cross_entropy", *TUNE, *rates))
    assert "Tuning only the overall scale of x*log(y)" in printed
    found = parsed(glo("resume", "digits-tune-cross_entropy-0", "--json"))
    assert found["tuning"]["scale_only"] is True
    assert found["tuning"]["coefficients"] == 1
    for row in found["tuning"]["confirmation"][1:]:
        assert re.fullmatch(r"-?\d\S*\*\(x\*log\(y\)\)|x\*log\(y\)", row["expression"])


def test_tuning_over_several_seeds(glo: Glo) -> None:
    found = parsed(glo("tune", "baikal", *TUNE, *LADDER, "--repeats", "2", "--json"))
    assert found["config"]["repeats"] == 2
    assert found["funnel"]["structure"]["candidates"] == 2 * 4 + 2 * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "an expression to tune or a --template"),
        (["baikal", "--template", "taylor3"], "an expression to tune or a --template, one of the two"),
        (["--template", "taylor4"], "no template 'taylor4'; templates are taylor3"),
        (["nonsense"], "named losses are .*baikal"),
        (["x*"], r"x\*"),
        (["x*x"], r"x\*x has no coefficient to tune"),
        (["7", "--coefficients", "all"], "no coefficient to tune"),
        (["baikal", "--coefficients", "some"], r"coefficients\.which.*'effective' or 'all'"),
        (["baikal", "--learning-rates", "0,0.1"], r"training\.learning_rates.*greater than 0"),
        (["baikal", "--learning-rates", "0.1,-0.3"], r"training\.learning_rates.*greater than 0"),
        (["baikal", "--learning-rates", "0.1,fast"], "--learning-rates takes numbers separated by commas.*'0.1,fast'"),
        (["baikal", "--learning-rates", "nan"], r"training\.learning_rates.*finite"),
        (["baikal", "--learning-rates", ""], "--learning-rates takes numbers"),
        (["baikal", "--task", "nonsense"], "no task 'nonsense'; built-in tasks are .*digits"),
        (["baikal", "--set", "coefficients.sigma=0"], r"coefficients\.sigma.*greater than 0"),
    ],
)
def test_misuse_of_tune(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_misuse(glo("tune", "--task", "digits", *arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_search_and_tune(glo: Glo) -> None:
    search = [
        "search",
        *SMALL,
        "--steps",
        "60",
        "--generations",
        "2",
        "--population",
        "6",
        "--tune",
        "--confirm",
        "0",
        "--name",
        "first",
        "--baselines",
        "none",
    ]
    tuning = [*TUNING, "--set", "coefficients.iterations=1", "--set", "coefficients.population=4"]
    found = parsed(glo(*search, *tuning, "--json"))
    assert found["generations"] == 2 + 1 + 1
    history = parsed(glo("runs", "first", "--json"))["history"]
    genetic = [row for row in history if row["phase"] == "genetic"]
    assert [row["phase"] for row in history] == ["genetic"] * 12 + ["coefficients"] * 4 + ["confirmation"] * 3
    best = max(row["fitness"] for row in genetic if row["status"] == "trained")
    assert found["tuning"]["start"] in [row["expression"] for row in genetic if row["fitness"] == best]
    assert found["fitness"] == max(row["fitness"] for row in found["tuning"]["confirmation"])
    printed = words(glo("resume", "first", "--baselines", "none"))
    assert f"of {found['tuning']['start']}: fitness on validation, 2 fresh seeds" in printed
    assert found["expression"] in printed


def test_enumerate(glo: Glo, tmp_path: Path) -> None:
    command = ["enumerate", *SMALL, *FEW, "--max-depth", "2", "--repeats", "1", "--learning-rate", "1"]
    found = parsed(glo(*command, "--csv", "atlas.csv", "--json"))
    atlas = found["atlas"]
    with (tmp_path / "atlas.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row) for row in rows] == [tuple(atlas[0])] * len(atlas)
    for row, entry in zip(rows, atlas, strict=True):
        assert row["known_as"].split() == entry["known_as"]
        assert float(row["fitness"]) == entry["fitness"]
        assert (float(row["learning_rate"]) if row["learning_rate"] else None) == entry["learning_rate"]
        assert (int(row["rank"]), int(row["nodes"])) == (entry["rank"], entry["nodes"])
        assert all(row[key] == entry[key] for key in ("expression", "status", "reason", "fingerprint"))
    assert [entry["rank"] for entry in atlas] == list(range(1, len(atlas) + 1))
    keys = [(entry["status"] != "trained", -entry["fitness"] if entry["status"] == "trained" else 0) for entry in atlas]
    assert keys == sorted(keys)
    assert {failed for failed, _ in keys} == {False, True}, "too easy: nothing failed"
    assert (found["expression"], found["fitness"]) == (atlas[0]["expression"], atlas[0]["fitness"])
    known = {entry["expression"]: entry["known_as"] for entry in atlas}
    assert known[BAIKAL] == ["baikal"]
    assert "cross_entropy" in known["x*log(y)"]
    assert known["log(y)*(x - y)"] == []

    name = found["name"]
    assert name == "digits-enumerate-0"
    printed = words(glo("resume", name))
    assert f"The best {min(20, len(atlas))} of {len(atlas)} losses" in printed
    assert atlas[0]["expression"] in printed
    again = parsed(glo("resume", name, "--json"))
    assert (again["atlas"], again["history_digest"]) == (atlas, found["history_digest"])
    (state,) = parsed(glo("runs", "--json"))
    assert (state["name"], state["planned"], state["generations"]) == (name, None, found["generations"])
    assert name in words(glo("runs"))
    shown = parsed(glo("runs", name, "--json"))
    assert {row["phase"] for row in shown["history"]} == {"enumeration"}
    assert len(shown["history"]) == len(atlas)


def test_enumeration_of_depth_1_over_several_seeds(glo: Glo) -> None:
    """Of the paper's operators there is one loss of depth 1."""
    found = parsed(glo("enumerate", *SMALL, "--max-depth", "1", "--repeats", "2", *LADDER, "--json"))
    assert [entry["expression"] for entry in found["atlas"]] == ["x*y"]
    assert "linear" in found["atlas"][0]["known_as"]
    assert found["funnel"]["training"]["candidates"] + found["funnel"]["early stop"]["rejected"] == 2
    assert "mean of 2 seeds" in words(glo("resume", "digits-enumerate-0"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-depth", "3"], "expressions up to depth 3, and 2,000,000 is the most that can be enumerated"),
        (["--max-depth", "9"], r"enumeration\.max_depth"),
        (["--learning-rates", "0"], r"training\.learning_rates"),
        (["--task", "nonsense"], "no task 'nonsense'"),
        (["--set", "enumeration.depth=2"], r"no option 'enumeration\.depth'; known here: max_depth, batch"),
    ],
)
def test_misuse_of_enumerate(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_misuse(glo("enumerate", "--task", "digits", *arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_atlas_that_cannot_be_written(glo: Glo) -> None:
    command = ["enumerate", *SMALL, "--max-depth", "1", "--repeats", "1", "--learning-rate", "1"]
    assert_misuse(glo(*command, "--csv", "nowhere/atlas.csv"), r"nowhere/atlas\.csv cannot be written")


def check_row(row: dict[str, Any], baseline: dict[str, Any], several: bool) -> None:
    """What is reported of one loss of a comparison is complete, and consistent with its values."""
    assert {"expression", "canonical", "latex", "variant", "validation", "at_edge"} <= row.keys()
    assert row["n"] == len(row["values"]) == 2
    assert row["mean"] == pytest.approx(sum(row["values"]) / 2)
    assert row["sd"] == pytest.approx(abs(row["values"][0] - row["values"][1]) / math.sqrt(2))
    assert row["learning_rate"] > 0
    if row is baseline:
        compared = ("difference", "interval", "p_value", "p_holm", "hedges_g")
        assert {key: row[key] for key in compared} == dict.fromkeys(compared)
        return
    assert row["difference"] == pytest.approx(row["mean"] - baseline["mean"])
    low, high = row["interval"]
    assert low <= row["difference"] <= high
    assert 0 <= row["p_value"] <= 1
    assert row["p_holm"] is None if not several else row["p_value"] <= row["p_holm"] <= 1
    assert row["hedges_g"] is None or row["hedges_g"] * row["difference"] >= 0


def test_compare(glo: Glo, tmp_path: Path) -> None:
    out = tmp_path / "some" / "folder"
    found = parsed(glo("compare", "baikal", *COMPARE, "--steps", "20,40", *LADDER, "--out", str(out), "--json"))
    assert {path.name for path in out.iterdir()} == {"comparison.json", "comparison.png", "comparison.svg"}
    text = (out / "comparison.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refused) == found
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ElementTree.parse(out / "comparison.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own file

    assert [horizon["steps"] for horizon in found["horizons"]] == [20, 40]
    assert found["losses"] == found["horizons"][-1]["losses"]
    assert found["horizons"][0]["losses"] != found["losses"]
    for horizon in found["horizons"]:
        assert list(horizon["losses"]) == ["cross_entropy", "label_smoothing", "baikal"]
        for row in horizon["losses"].values():
            check_row(row, horizon["losses"]["cross_entropy"], several=True)
    assert (found["baseline"], found["task"], found["metric"]) == ("cross_entropy", "digits", "accuracy")
    assert (found["repeats"], found["tuning_seeds"], found["seed"]) == (2, 1, 0)
    assert found["learning_rates"] == [0.1, 0.3]
    assert found["losses"]["label_smoothing"]["variant"] == "0.1"
    assert found["losses"]["baikal"]["expression"] == BAIKAL
    (agreement,) = found["agreement"]
    assert agreement["steps"] == [20, 40]
    assert -1 <= agreement["kendall_tau"] <= 1
    assert found["confounded"] is False
    assert not any("confounded" in warning for warning in found["warnings"])
    assert {"versions", "hardware", "device", "training"} <= found.keys()
    assert found["training"]["steps"] == 40


def test_comparison_at_one_rate_says_that_it_is_confounded(glo: Glo, tmp_path: Path) -> None:
    unit = words(glo("compare", "baikal", *COMPARE, "--learning-rate", "0.1"))
    assert "each might be better at a rate of its own" in unit
    assert "confounded" not in unit
    printed = words(glo("compare", "baikal", *COMPARE, "--learning-rate", "0.1", *RAW))
    assert "confounded by the scale of the gradients" in printed
    assert "all at one learning rate" in printed
    assert "baikal" in printed
    summary = json.loads((tmp_path / "glo-compare" / "comparison.json").read_text(encoding="utf-8"))
    assert summary["confounded"] is True
    assert {row["learning_rate"] for row in summary["losses"].values()} == {0.1}
    assert any("confounded" in warning for warning in summary["warnings"])
    assert f"{summary['losses']['baikal']['mean']:.4f}" in printed


def test_comparison_in_which_nothing_differs(glo: Glo, tmp_path: Path) -> None:
    """At a rate that moves nothing all losses are the same network: no order, no NaN, and no difference."""
    steps = ["--steps", "1,2", "--learning-rate", "1e-12"]
    printed = words(glo("compare", "baikal", "x*y", *FEW_SEEDS, "--no-baselines", *steps))
    assert "Kendall's tau undefined" in printed
    text = (tmp_path / "glo-compare" / "comparison.json").read_text(encoding="utf-8")
    summary = json.loads(text, parse_constant=refused)
    assert summary["agreement"][0]["kendall_tau"] is None
    assert list(summary["losses"]) == ["baikal", "x*y"]
    for row in summary["losses"].values():
        check_row(row, summary["losses"]["baikal"], several=False)
    assert summary["losses"]["x*y"]["difference"] == 0


def test_comparison_on_a_harder_task(glo: Glo) -> None:
    plain, harder = (
        parsed(glo("compare", "x*y", *COMPARE, "--learning-rate", "0.3", "--steps", "40", *options, "--json"))
        for options in ([], ["--label-noise", "0.8", "--train-fraction", "0.3"])
    )
    assert (plain["label_noise"], plain["train_fraction"]) == (0.0, 1.0)
    assert (harder["label_noise"], harder["train_fraction"]) == (0.8, 0.3)
    assert harder["losses"]["cross_entropy"]["mean"] < plain["losses"]["cross_entropy"]["mean"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "1"], "at least 2 --repeats"),
        (["--repeats", "0"], "at least 2 --repeats"),
        (["--learning-rate", "0.1", "--learning-rates", "0.1,0.3"], "--learning-rate .*or --learning-rates.*not both"),
        (["--learning-rates", "0,1"], "learning rates are positive numbers.* not 0, 1"),
        (["--learning-rates", "-1,1"], "learning rates are positive numbers.* not -1, 1"),
        (["--learning-rates", "inf"], "learning rates are positive numbers.* not inf"),
        (["--learning-rates", "a"], "--learning-rates takes numbers.*'a'"),
        (["--learning-rate", "0"], "learning rates are positive numbers.* not 0"),
        (["--tuning-seeds", "0"], "at least 1 tuning seed"),
        (["--steps", "abc"], "--steps takes .*numbers.*'abc'"),
        (["--steps", "0"], "--steps takes whole numbers above 0, not 0"),
        (["--steps", "10,-5"], "--steps takes whole numbers above 0, not 10, -5"),
        (["--steps", "10.5"], r"--steps takes whole numbers above 0, not 10\.5"),
        (["--steps", "nan"], "--steps takes whole numbers above 0, not nan"),
        (["--smoothings", "1.5"], r"0 <= smoothing < 1.*1\.5"),
        (["--smoothings", "much"], "--smoothings takes numbers.*'much'"),
        (["--label-noise", "1.5"], r"label noise is a fraction from 0 to below 1, not 1\.5"),
        (["--label-noise", "-0.1"], r"label noise is a fraction from 0 to below 1, not -0\.1"),
        (["--train-fraction", "0"], "the fraction of the training data is above 0 and at most 1, not 0"),
        (["--train-fraction", "1.1"], r"the fraction of the training data is above 0 and at most 1, not 1\.1"),
        (["--train-fraction", "0.001"], "fewer than the 10 classes"),
        (["--task", "diabetes", "--label-noise", "0.4"], r"label noise .*classification.*task 'diabetes'"),
        (["--task", "nonsense"], "no task 'nonsense'"),
        (["nonsense"], "named losses are .*baikal"),
        (["x**"], r"x\*\*"),
        (["--no-baselines"], "only one loss"),
        (["--device", "abacus"], "device 'abacus'"),
        (["--cluster", "abacus"], "there is no cluster 'abacus'; a cluster is local:N"),
        (["--out", "file"], "file cannot be written.*another --out"),
        (["--out", "file/folder"], "file/folder cannot be written.*another --out"),
    ],
)
def test_misuse_of_compare(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").touch()
    assert_misuse(glo("compare", "baikal", "--task", "digits", *arguments), message)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "file"]


@pytest.mark.parametrize(
    ("loss", "every", "effective", "scaled"), [("baikal", 6, 1, 2), ("cross_entropy", 4, 0, 1), ("x + 1", 3, 0, 0)]
)
def test_show_counts_coefficients(glo: Glo, loss: str, every: int, effective: int, scaled: int) -> None:
    """With and without the overall scale, which a learning rate of one's own replaces."""
    counts = parsed(glo("show", loss, "--json"))["coefficients"]
    assert counts == {"all": every, "effective": effective, "effective_with_scale": scaled}
    assert f"{every}, of which {effective} change the shape" in words(glo("show", loss))
