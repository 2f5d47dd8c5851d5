"""A command that is refused leaves nothing behind, and its corrected form works; options that do nothing are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Glo, assert_misuse, parsed
from glo.store import Store

TINY = ["--task", "digits", "--steps", "5", "--device", "cpu"]
PHASES = {
    "search": ["search", *TINY, "--generations", "1", "--population", "4", "--baselines", "none"],
    "tune": ["tune", "baikal", *TINY, "--iterations", "1", "--population", "4", "--set", "coefficients.confirmations=1"],
    "enumerate": ["enumerate", *TINY, "--max-depth", "1", "--repeats", "1"],
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (["--device", "gpu"], "device 'gpu' cannot be used"),
        (["--cluster", "abacus"], "there is no cluster 'abacus'"),
        (["--cluster", "nowhere.toml"], r"nowhere\.toml cannot be read"),
        (["--insecure"], "--insecure does nothing without --cluster"),
        (["--name", "a b"], "a study's name has letters"),
        (["--config", "nowhere.toml"], r"nowhere\.toml cannot be read"),
        (["--task-option", "noise=0.1"], "has no option 'noise'"),
        (["--set", "seed=3"], "'seed' cannot be set here: --seed"),
        (["--set", "preset=paper"], "'preset' cannot be set here: --preset"),
        (["--set", "phases=[]"], "'phases' cannot be set here"),
        (["--set", "task.name=mnist"], r"'task\.name' cannot be set here: --task"),
        (["--set", "training.curve_every=3"], r"'training\.curve_every' does nothing here: .*evaluate --curve-every"),
    ],
)
def test_the_corrected_command_works(glo: Glo, tmp_path: Path, phase: str, mistake: list[str], message: str) -> None:
    assert_misuse(glo(*PHASES[phase], *mistake), message)
    assert list(tmp_path.iterdir()) == []
    if mistake == ["--device", "gpu"]:
        assert parsed(glo(*PHASES[phase], "--json"))["generations"] >= 1


@pytest.mark.parametrize("csv", [".", "nowhere/atlas.csv", "/proc/atlas.csv"])
def test_an_atlas_that_cannot_be_written_is_refused_before_the_enumeration(glo: Glo, tmp_path: Path, csv: str) -> None:
    assert_misuse(glo(*PHASES["enumerate"], "--csv", csv), "cannot be written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("phase", PHASES)
def test_a_study_without_generations_is_no_obstacle(glo: Glo, tmp_path: Path, phase: str) -> None:
    """It may be left by a process that was killed at once, whatever its configuration and version."""
    store = Store(tmp_path / "glo.db")
    store.create_study("first", {"preset": "another"}, {"glo": "0"})
    store.close()
    found = parsed(glo(*PHASES[phase], "--name", "first", "--json"))
    assert found["versions"]["glo"] != "0"
    assert len(parsed(glo("runs", "--json"))) == 1
    assert_misuse(glo(*PHASES[phase], "--name", "first"), "already a study 'first'.*glo resume first")
    assert parsed(glo("resume", "first", "--device", "cpu", "--json"))["history_digest"] == found["history_digest"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slots", "2"], "slots are for a steady-state search: add --steady-state"),
        (["--set", "coefficients.iterations=3"], r"'coefficients\.iterations' does nothing here: .*--tune"),
        (["--set", "enumeration.max_depth=3"], r"'enumeration\.max_depth' does nothing here: glo enumerate"),
        (["--set", "genetic.tournament_size=3"], "genetic.selection=tournament"),
        (["--preset", "paper", "--set", "genetic.attempts=3"], "genetic.viable=true"),
        (["--steady-state", "--set", "genetic.elites=3"], "keeps its best trees anyway"),
    ],
)
def test_options_that_do_nothing_in_a_search(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_misuse(glo(*PHASES["search"], *arguments), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("phase", "setting", "reader"),
    [
        ("tune", "generations=3", "glo search"),
        ("tune", "genetic.population=3", "glo search"),
        ("tune", "genetic={population = 3}", "glo search"),
        ("tune", "enumeration.max_depth=3", "glo enumerate"),
        ("tune", "coefficients.expression='x*y'", "EXPR"),
        ("enumerate", "generations=3", "glo search"),
        ("enumerate", "genetic.population=3", "glo search"),
        ("enumerate", "coefficients.sigma=1", "glo tune"),
    ],
)
def test_options_of_another_command(glo: Glo, tmp_path: Path, phase: str, setting: str, reader: str) -> None:
    assert_misuse(glo(*PHASES[phase], "--set", setting), f"option '[a-z_.]+' does nothing here: {reader}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_may_have_the_options_of_several_commands(glo: Glo, tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text("[genetic]\nelites = 1\n[coefficients]\nsigma = 1.0\n[enumeration]\nbatch = 50\n")
    for phase in PHASES.values():
        assert glo(*phase, "--config", "all.toml").code == 0


@pytest.mark.parametrize("steady", ["--steady-state", "--set=genetic.steady_state=true"])
def test_slots_of_a_steady_state_search(glo: Glo, steady: str) -> None:
    found = parsed(glo(*PHASES["search"], steady, "--slots", "1", "--json"))
    assert found["config"]["genetic"]["steady_state"] is True
    assert glo("resume", found["name"], "--slots", "2", "--device", "cpu").code == 0


def test_slots_of_a_resumed_search_by_generations(glo: Glo) -> None:
    found = parsed(glo(*PHASES["search"], "--json"))
    assert_misuse(glo("resume", found["name"], "--slots", "2"), "slots are for a steady-state search")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "latex", "--link", "sigmoid"], "--link does nothing for latex"),
        (["--format", "sympy", "--eps", "1e-3"], "--eps does nothing for sympy"),
        (["--format", "sympy", "--class-reduction", "mean"], "--class-reduction does nothing for sympy"),
        (["--storage", "mine.db"], "--storage does nothing without --study"),
    ],
)
def test_options_that_do_nothing_in_an_export(glo: Glo, arguments: list[str], message: str) -> None:
    assert_misuse(glo("export", "baikal", *arguments), message)
