"""`glo.Study` as users of Optuna know it: phases that go on, trials, callbacks, and a loss to take away."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import glo
from callbacks import Following, Interrupting
from glo.errors import ConfigError, ReplayError, StoreError, StudyError
from glo.expr import Expr, parse
from glo.records import Outcome, PhaseKind, Status, derive_seed
from glo.store import GenerationRecord, Store
from glo.study import Callback, Study, StudyResult, discover, load_study
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 8, "generations": 3, "steps": 20, "confirm": 0}
TUNING = ["coefficients.iterations=1", "coefficients.population=4", "coefficients.confirmations=2"]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The file of a store that does not exist yet."""
    return tmp_path / "glo.db"


# Phases.


def test_nothing_is_written_before_a_phase_starts(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage)
    assert study.name == "points-default-0"
    assert not storage.exists()
    with pytest.raises(StoreError, match="no store"):
        _ = study.best


def test_a_call_again_goes_on_with_the_recorded_options(make_task: MakeTask, storage: Path) -> None:
    """Options that are not given have their recorded values."""
    whole = discover(make_task(), storage=storage, name="whole", **SMALL)
    with pytest.raises(KeyboardInterrupt):
        Study(make_task(), storage=storage, name="study", callbacks=[Interrupting(1)]).search(**SMALL)
    following = Following()
    study = Study(make_task(), storage=storage, name="study", callbacks=[following])
    assert study.search().history_lines() == whole.history_lines()
    assert following.replayed == [True, False, False]


def test_tuning_after_a_search_is_a_search_with_tuning(make_task: MakeTask, tmp_path: Path) -> None:
    """To the byte, also if the search was stopped before it ended."""
    whole = discover(make_task(), storage=tmp_path / "whole.db", tune=True, settings=TUNING, **SMALL)
    study = Study(make_task(), storage=tmp_path / "glo.db", settings=TUNING)
    study.search(**SMALL)
    assert study.tune().history_digest() == whole.history_digest()
    assert study.result.config.phases == (PhaseKind.GENETIC, PhaseKind.COEFFICIENTS)
    with pytest.raises(KeyboardInterrupt):
        Study(make_task(), storage=tmp_path / "glo.db", name="cut", settings=TUNING, callbacks=[Interrupting(2)]).search(
            **SMALL
        )
    cut = Study(make_task(), storage=tmp_path / "glo.db", name="cut", settings=TUNING)
    assert cut.tune().history_digest() == whole.history_digest()


def test_tuning_needs_a_loss(make_task: MakeTask, storage: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to tune"):
        Study(make_task(), storage=storage).tune()
    assert Store(storage).studies() == []


def test_options_of_an_added_phase_are_free_and_all_others_are_not(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage)
    study.search(**SMALL)
    with pytest.raises(ReplayError, match=r"training\.steps is 20 there and 30 here"):
        study.tune(iterations=1, population=4, steps=30)
    assert study.result.config.phases == (PhaseKind.GENETIC,)
    tuned = study.tune(iterations=1, population=4)
    assert [record.phase for record in tuned.history][3:] == [PhaseKind.COEFFICIENTS, PhaseKind.CONFIRMATION]
    assert study.tune().history == tuned.history
    with pytest.raises(ReplayError, match=r"coefficients\.iterations is 1 there and 2 here"):
        study.tune(iterations=2)


def test_names_are_made_of_task_phase_and_seed(make_task: MakeTask, storage: Path) -> None:
    names: list[str] = []
    for phase in (
        lambda study: study.search(generations=1, population=2, steps=1),
        lambda study: study.search(generations=1, population=2, steps=1, steady_state=True),
        lambda study: study.tune("baikal", iterations=1, population=4, steps=1),
        lambda study: study.enumerate(max_depth=1, repeats=1, steps=1),
    ):
        study = Study(make_task(), storage=storage, seed=3)
        phase(study)
        names.append(study.name)
    assert names == ["points-default-3", "points-default-steady-3", "points-tune-baikal-3", "points-enumerate-3"]


def test_loading_and_resuming(make_task: MakeTask, storage: Path) -> None:
    found = discover(make_task(), storage=storage, name="first", seed=4, preset="paper", **SMALL)
    study = load_study("first", storage)
    assert (study.name, study.seed, study.preset) == ("first", 4, "paper")
    assert study.best == found.finalists(1)[0]
    assert study.result.history == found.history
    with pytest.raises(StudyError, match=r"started with a Task object.*task="):
        study.search()
    assert load_study("first", storage, task=make_task()).search().history == found.history
    with pytest.raises(ReplayError, match=r"task\.digest"):
        load_study("first", storage, task=make_task(shift=1.0)).resume()
    with pytest.raises(StudyError, match="second"):
        load_study("second", storage)


def test_a_study_of_a_named_task_finds_it_itself(storage: Path) -> None:
    found = discover("digits", storage=storage, name="run", generations=1, population=4, steps=5)
    assert load_study("run", storage).resume().history == found.history


def test_bad_device_leaves_nothing_behind(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage, device="abacus")
    with pytest.raises(ConfigError, match="abacus"):
        study.search(**SMALL)
    assert len(Study(make_task(), storage=storage).search(**SMALL).history) == 3


# A search of the user's own.


class Rounds:
    """Asks for given expressions, a round at a time, and notes what it is told."""

    def __init__(self, *rounds: Sequence[str]) -> None:
        self._rounds, self.told = [[parse(text) for text in texts] for texts in rounds], []

    @property
    def done(self) -> bool:
        return len(self.told) == len(self._rounds)

    def ask(self) -> list[Expr]:
        return self._rounds[len(self.told)]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        self.told.append([outcome.expression for outcome in outcomes])


ROUNDS = (["x*log(y)", "x*y"], ["log(y) - x/y", "-square(x - y)"], ["x*sqrt(y)"])


def test_a_search_of_ones_own_needs_no_registration(make_task: MakeTask, storage: Path) -> None:
    search = Rounds(*ROUNDS)
    result = Study(make_task(), storage=storage, name="whole").run(search, steps=20)
    assert search.told == [[str(parse(text)) for text in texts] for texts in ROUNDS]
    assert [record.phase for record in result.history] == [PhaseKind.OWN] * 3
    assert result.best.fitness > 0.5


def test_a_search_of_ones_own_goes_on(make_task: MakeTask, storage: Path) -> None:
    whole = Study(make_task(), storage=storage, name="whole").run(Rounds(*ROUNDS), steps=20)
    with pytest.raises(KeyboardInterrupt):
        Study(make_task(), storage=storage, name="cut", callbacks=[Interrupting(1)]).run(Rounds(*ROUNDS), steps=20)
    cut = load_study("cut", storage, task=make_task())
    with pytest.raises(ConfigError, match=r"study\.run\(search\)"):
        cut.resume()
    with pytest.raises(ReplayError, match="in generation 0, candidate 0 is x"):
        cut.run(Rounds(["x*y"]))
    assert cut.run(Rounds(*ROUNDS)).history_lines() == whole.history_lines()


# Trials.


def test_trials_are_all_candidates_in_order(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage)
    result = study.search(**SMALL)
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(24))
    assert [(trial.generation, trial.position) for trial in trials] == [(g, p) for g in range(3) for p in range(8)]
    assert [trial.expression for trial in trials] == [o.expression for record in result.history for o in record.outcomes]
    assert study.best == max(trials, key=lambda trial: (trial.status is Status.TRAINED, trial.fitness, -trial.nodes))


def test_pareto_front(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage)
    study.search(generations=3, population=10, steps=60, confirm=0)
    front, trained = study.pareto(), [trial for trial in study.trials if trial.status is Status.TRAINED]
    assert front
    assert [trial.nodes for trial in front] == sorted({trial.nodes for trial in front})
    assert [trial.fitness for trial in front] == sorted({trial.fitness for trial in front})
    assert front[-1].fitness == study.best.fitness
    for trial in trained:
        assert any(other.nodes <= trial.nodes and other.fitness >= trial.fitness for other in front)


def test_data_frame(make_task: MakeTask, storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(make_task(), storage=storage)
    study.search(**SMALL)
    frame = study.to_frame()
    assert list(frame["expression"]) == [trial.expression for trial in study.trials]
    assert list(frame["nodes"]) == [trial.nodes for trial in study.trials]
    assert set(frame["status"]) <= {str(status) for status in Status}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        study.to_frame()


# Callbacks.


class Recording(Callback):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:
        self.calls.append(("replay", generation.generation))

    def on_outcome(self, study: Study, outcome: Outcome) -> None:
        self.calls.append(("outcome", outcome.expression))

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        assert study.result.history[-1].generation == generation.generation, "it is recorded by now"
        self.calls.append(("generation", generation.generation))

    def on_end(self, study: Study, result: StudyResult) -> None:
        self.calls.append(("end", result.history_digest()))


def test_every_hook_is_called(make_task: MakeTask, storage: Path) -> None:
    recording = Recording()
    result = Study(make_task(), storage=storage, callbacks=[Callback(), recording]).search(**SMALL)
    kinds = [kind for kind, _ in recording.calls]
    assert kinds == (["outcome"] * 8 + ["generation"]) * 3 + ["end"]
    for number in range(3):
        told = [value for kind, value in recording.calls[9 * number : 9 * number + 8]]
        assert sorted(told) == sorted(outcome.expression for outcome in result.history[number].outcomes)
    assert recording.calls[-1] == ("end", result.history_digest())
    again = Recording()
    Study(make_task(), storage=storage, callbacks=[again]).search()
    assert [kind for kind, _ in again.calls] == ["replay"] * 3 + ["end"]


@pytest.mark.parametrize("steady", [False, True])
def test_a_callback_can_stop_the_study_which_goes_on_later(make_task: MakeTask, tmp_path: Path, steady: bool) -> None:
    class Stopping(Callback):
        def on_generation(self, study: Study, generation: GenerationRecord) -> None:
            if generation.generation == 1:
                study.stop()

    options: Any = {**SMALL, "steady_state": steady}
    slots = 1 if steady else None
    whole = discover(make_task(), storage=tmp_path / "whole.db", slots=slots, **options)
    study = Study(make_task(), storage=tmp_path / "glo.db", slots=slots, callbacks=[Stopping()])
    stopped = study.search(**options)
    assert sum(len(record.outcomes) for record in stopped.history) == (2 if steady else 16)
    again = Study(make_task(), storage=tmp_path / "glo.db", slots=slots, name=study.name).search()
    assert again.history_lines() == whole.history_lines()


def test_an_error_of_a_callback_ends_the_study_and_what_is_recorded_stays(make_task: MakeTask, storage: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        Study(make_task(), storage=storage, callbacks=[Interrupting(2, ZeroDivisionError)]).search(**SMALL)
    assert len(Study(make_task(), storage=storage).result.history) == 2


# The loss that is handed out.


def yes_no(link: str) -> Task:
    """Points of which a linear network tells two kinds apart, as a question for each link."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 4)).astype("float32")
    side = points[:, 0] + points[:, 1] > 0
    targets: dict[str, Any] = {
        "softmax": side.astype("int64"),
        "sigmoid": side.astype("float32"),
        "identity": (points[:, 0] + points[:, 1]).astype("float32"),
    }
    outputs = 2 if link == "softmax" else 1
    parts = [slice(0, 150), slice(150, 300)]
    train, validation = ((points[part], targets[link][part]) for part in parts)
    return Task(link, lambda: nn.Linear(4, outputs), train, validation, link=link)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_what_is_handed_out_trains_as_the_search_did(storage: Path, link: str, reduction: str) -> None:
    """In a plain loop, by the module and by the exported source, to the fitness of the search."""
    task, eps = yes_no(link), 1e-3
    settings = [f"training.class_reduction={reduction}", f"training.eps={eps}", "training.batch_size=150"]
    study = Study(task, storage=storage, settings=settings)
    study.search(generations=2, population=10, steps=80)
    found = study.loss()
    assert (found.link.value, found.class_reduction, found.eps) == (link, reduction, eps)
    command = [sys.executable, "-m", "glo", "export", "--study", study.name, "--storage", str(storage)]
    exported = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    space: dict[str, Any] = {}
    exec(exported, space)  # noqa: S102 - that it runs is the point
    for loss in (found, space["loss"]):
        score = trained_in_a_plain_loop(task, loss, study.best.learning_rate or 0.0)
        assert score == pytest.approx(study.best.fitness, abs=0.02)
    assert study.best.fitness > 0.8


def trained_in_a_plain_loop(task: Task, loss: Callable[..., torch.Tensor], rate: float) -> float:
    """The validation metric after as many steps of the whole data as the search makes."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(0, "init"))
        network = task.model()
    train, validation = task.split("train"), task.split("validation")
    optimizer = torch.optim.SGD(network.parameters(), rate)
    for _ in range(80):
        optimizer.zero_grad()
        loss(network(train.inputs), train.targets).backward()
        optimizer.step()
    with torch.no_grad():
        outputs = network(validation.inputs)
    predictions = {"softmax": outputs.softmax(1), "sigmoid": outputs.sigmoid(), "identity": outputs}[task.link.value]
    return task.score(predictions, validation.targets)


def test_weights_of_the_classes_can_be_given(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage)
    study.search(**SMALL)
    weight = torch.tensor([1.0, 2.0, 3.0])
    outputs, targets = torch.randn(6, 3), torch.arange(6) % 3
    assert not torch.equal(study.loss(weight)(outputs, targets), study.loss()(outputs, targets))


# The public surface.


def test_all_names_of_the_package_are_listed_and_importable() -> None:
    for name in dir(glo):
        assert getattr(glo, name) is not None
    assert {"Study", "StudyResult", "Trial", "load_study", "discover", "tune_coefficients", "enumerate_losses"} <= set(
        dir(glo)
    )
    assert {"Callback", "Comparison", "ComparisonConfig", "compare_losses", "Task", "ExpressionLoss", "__version__"} <= set(
        dir(glo)
    )


@pytest.mark.parametrize(
    "function",
    [
        Study,
        Study.search,
        Study.tune,
        Study.enumerate,
        Study.run,
        glo.discover,
        glo.tune_coefficients,
        glo.enumerate_losses,
        load_study,
    ],
)
def test_arguments_are_explicit(function: Callable[..., Any]) -> None:
    """No **options that would hide a typo."""
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert inspect.Parameter.VAR_POSITIONAL not in kinds


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "glo", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"glo {glo.__version__}\n"


def test_a_study_of_a_script_can_be_listed_shown_and_exported(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage, name="mine")
    study.search(**SMALL)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "glo", *arguments, "--storage", str(storage)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "mine" in run("runs").stdout
    assert study.best.expression in run("runs", "mine").stdout
    assert study.best.expression in run("show", "--study", "mine", "--json").stdout
    assert "def loss(outputs, target" in run("export", "--study", "mine").stdout
    refused = run("resume", "mine")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Task object in a script" in refused.stderr
    both = run("export", "x*y", "--study", "mine")
    assert (both.returncode, "one of the two" in both.stderr) == (2, True)
