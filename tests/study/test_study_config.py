"""The configuration of a study: which layer wins, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glo.errors import ConfigError
from glo.records import TrainingConfig
from glo.study import Study, StudyConfig, TaskConfig, compose
from glo.study.composing import read_settings
from glo.tasks import Task, load_task
from glo.tasks.training import training_config

Compose = Callable[..., StudyConfig]


@pytest.fixture
def composed(make_task: Callable[..., Task]) -> Compose:
    """Composes a configuration for a tiny task, whose own training has 77 steps and batches of 40."""
    task = make_task(steps=77)
    return lambda **layers: compose(task, **layers)


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a TOML file."""

    def write(text: str) -> Path:
        path = tmp_path / "options.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_later_layers_win(composed: Compose, toml: Callable[[str], Path]) -> None:
    file = toml("[training]\nsteps = 200\nmomentum = 0.5\n[genetic]\npopulation = 30\ncrossover = 0.7\n")
    layers: list[dict[str, Any]] = [
        {},
        {"file": file},
        {"settings": ["training.steps=300", "genetic.population=31"]},
        {"overrides": {"training": {"steps": 400}}},
    ]
    steps, populations, crossovers, chosen = [], [], [], {}
    for layer in layers:
        chosen |= layer
        config = composed(**chosen)
        steps.append(config.training.steps)
        populations.append(config.genetic.population)
        crossovers.append(config.genetic.crossover)
    assert steps == [77, 200, 300, 400]
    assert populations == [40, 30, 31, 31]
    assert crossovers == [0.8, 0.7, 0.7, 0.7]
    # What no later layer names is kept, in a table that later layers do name.
    last = composed(**chosen)
    assert last.training.momentum == 0.5
    assert last.training.batch_size == 40


def test_preset_wins_over_the_task(make_task: Callable[..., Task]) -> None:
    task = make_task(learning_rates=[0.5], momentum=0.25)
    config = compose(task, preset="paper")
    assert config.training.learning_rates == (0.01,)
    assert config.training.momentum == 0.25


DEFAULT_LADDER, ADAPTIVE_LADDER = (0.2, 0.8), (0.001, 0.003, 0.01)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_another_optimizer_has_other_learning_rates_unless_some_are_given(
    make_task: Callable[..., Task], toml: Callable[[str], Path], optimizer: str
) -> None:
    task, setting = make_task(learning_rates=[0.5]), f"training.optimizer={optimizer}"
    assert compose(task).training.learning_rates == DEFAULT_LADDER
    assert compose(task, settings=[setting]).training.learning_rates == ADAPTIVE_LADDER
    assert compose(task, preset="paper", settings=[setting]).training.learning_rates == (0.001,)
    assert compose(task, file=toml(f'[training]\noptimizer = "{optimizer}"\n')).training.learning_rates == ADAPTIVE_LADDER
    of_task = make_task(learning_rates=[0.5], optimizer=optimizer)
    assert compose(of_task).training.learning_rates == (0.5,)  # a task that names its optimizer knows its rates
    other = "adam" if optimizer != "adam" else "adamw"
    assert compose(of_task, settings=[f"training.optimizer={other}"]).training.learning_rates == ADAPTIVE_LADDER
    assert compose(of_task, settings=["training.optimizer=sgd"]).training.learning_rates == DEFAULT_LADDER
    assert TrainingConfig.model_validate({"optimizer": optimizer}).learning_rates == (0.001,)
    given: list[dict[str, Any]] = [
        {"settings": [setting, "training.learning_rates=[0.2]"]},
        {"settings": [setting], "overrides": {"training": {"learning_rates": [0.2]}}},
        {"settings": [setting], "file": toml("[training]\nlearning_rates = [0.2]\n")},
    ]
    for layers in given:
        assert compose(task, **layers).training.learning_rates == (0.2,)
    with pytest.raises(ConfigError, match=r"training\.learning_rates"):
        compose(task, settings=[setting, "training.learning_rates=[]"])


def test_a_constant_schedule_is_one_without_pairs(composed: Compose) -> None:
    assert composed(settings=["training.schedule=constant"]) == composed()
    assert composed(settings=["training.schedule=cosine"]).training.schedule == "cosine"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("nesterov=true", r"'training\.nesterov' needs training\.momentum"),
        ("optimizer=rmsprop momentum=0.9 nesterov=true", r"'training\.nesterov' .* not for rmsprop"),
        ("optimizer=adam momentum=0.9", r"'training\.momentum' .* not for adam"),
        ("optimizer=adamw momentum=0.9", r"'training\.momentum' .* not for adamw"),
        ("betas=[0.8,0.99]", r"'training\.betas' .* not for sgd"),
        ("optimizer=rmsprop betas=[0.8,0.99]", r"'training\.betas' .* not for rmsprop"),
        ("optimizer=adam alpha=0.9", r"'training\.alpha' .* not for adam"),
        ("optimizer=adam betas=[0.9,1.0]", r"'training\.betas\.1'"),
        ("optimizer=adam betas=[0.9]", r"'training\.betas"),
        ("optimizer=rmsprop alpha=-0.1", r"'training\.alpha'"),
        ("optimizer=lion", r"'training\.optimizer': .*'rmsprop' \(given: 'lion'\)"),
        ("weight_decay=-0.1", r"'training\.weight_decay'"),
        ("clip_norm=0", r"'training\.clip_norm'"),
        ("clip_norm=-1.0", r"'training\.clip_norm'"),
        ("clip_norm=inf", r"'training\.clip_norm'"),
        ("warmup=1.0", r"'training\.warmup'"),
        ("warmup=-0.1", r"'training\.warmup'"),
        ("schedule=steps", r"'training\.schedule': .*\(step, factor\) pairs"),
        ("schedule=triangle", r"'training\.schedule': Input should be 'constant', 'cosine' or 'linear'"),
        ("schedule=[[0,0.1]]", r"'training\.schedule\.0\.0': .* greater than 0"),
        ("schedule=[[5,-0.1]]", r"'training\.schedule\.0\.1': .* greater than 0"),
    ],
)
def test_training_options_that_mean_nothing_are_refused(composed: Compose, settings: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed(settings=[f"training.{setting}" for setting in settings.split()])


def test_option_that_is_not_given_changes_nothing(composed: Compose) -> None:
    given = {"generations": None, "genetic": {"population": None}, "training": {"steps": None}}
    assert composed(overrides=given) == composed()


def test_configuration_says_which_task(make_task: Callable[..., Task]) -> None:
    task = make_task(steps=300)
    recorded = {"name": "points", "options": {}, "digest": task.digest(), "link": "softmax", "by_name": False}
    recorded |= {
        "objective": False,
        "classes": 3,
        "prior": (0.333333,) * 3,
        "loss_options": {},
        "direction": "maximize",
        "version": "",
        "metric": "accuracy",
        "training": {"steps": 300, "batch_size": 40},
    }
    assert compose(task).task.model_dump() == recorded
    named = load_task("noisy-digits", {"noise": 0.1})
    assert compose(named).task == TaskConfig(
        name="noisy-digits", options={"noise": 0.1}, digest=named.digest(), classes=10, prior=named.prior,
        metric="accuracy", training={"steps": 600},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("seed", "3", "--seed"),
        ("preset", "'paper'", "--preset"),
        ("phases", "['enumeration']", "the choice of command"),
        ("task", "'digits'", "--task"),
        ("task.name", "'digits'", "--task"),
        ("task.digest", "'mine'", "the task itself"),
        ("task.link", "'sigmoid'", "the task itself"),
        ("task.by_name", "true", "the task itself"),
        ("task.loss_options", "{}", "the task itself"),
        ("task.classes", "7", "the task itself"),
        ("task.prior", "[0.5]", "the task itself"),
        ("task.metric", "'auc'", "the task itself"),
        ("task.training.momentum", "0.9", "the task itself"),
        ("task.loss_options.weight", "[1, 2, 3]", "the task itself"),
    ],
)
def test_what_is_set_elsewhere_is_refused(
    composed: Compose, toml: Callable[[str], Path], key: str, value: str, place: str
) -> None:
    """It would be overwritten, by the flag or by the task: in a setting and in a file alike."""
    for layer in ({"settings": [f"{key}={value}"]}, {"file": toml(f"{key} = {value}\n")}):
        with pytest.raises(ConfigError, match=f"option '{key}' cannot be set here: {place}.* sets it"):
            composed(**layer)


def test_options_of_a_task_that_was_not_loaded_with_them_are_refused(composed: Compose, toml: Callable[[str], Path]) -> None:
    """They would be recorded, and have changed nothing."""
    for layer in ({"settings": ["task.options.noise=0.2"]}, {"file": toml("[task.options]\nnoise = 0.2\n")}):
        with pytest.raises(ConfigError, match=r"option 'task\.options\.noise' does nothing"):
            composed(**layer)


def test_options_of_a_named_task_are_read_from_file_and_settings(toml: Callable[[str], Path]) -> None:
    file = toml("[task.options]\nnoise = 0.2\n")
    assert Study("noisy-digits", file=file).task.digest() == load_task("noisy-digits", {"noise": 0.2}).digest()
    changed = Study("noisy-digits", file=file, settings=["task.options.noise=0.3"])
    assert changed.task.digest() == load_task("noisy-digits", {"noise": 0.3}).digest()
    with pytest.raises(ConfigError, match=r"'task\.options' is a table"):
        _ = Study("noisy-digits", settings=["task.options=3"]).task


@pytest.mark.parametrize(
    ("useless", "reason", "needed"),
    [
        ("genetic.tournament_size=5", "genetic.selection=tournament", "genetic.selection=tournament"),
        ("genetic.attempts=5", "genetic.viable=true", "genetic.viable=true"),
        ("genetic.elites=5", "steady-state search keeps", "genetic.steady_state=false"),
        ("training.early_stop=0.2", "several seeds", "repeats=1"),
    ],
)
def test_an_option_that_another_makes_useless_is_refused(composed: Compose, useless: str, reason: str, needed: str) -> None:
    others = ["genetic.selection=roulette", "genetic.viable=false", "genetic.steady_state=true", "repeats=2"]
    with pytest.raises(ConfigError, match=f"option '{useless.split('=')[0]}' does nothing here: .*{reason}"):
        composed(settings=[useless, *others])
    composed(settings=[useless, *others, needed])


@pytest.mark.parametrize("setting", ["training.curve_every=5", "training={curve_every = 5}", "training.curve_on=test"])
def test_a_study_keeps_no_curves(composed: Compose, setting: str) -> None:
    with pytest.raises(ConfigError, match=r"option 'training\.curve_.*' does nothing here: .*--curve-every"):
        composed(settings=[setting])


def test_early_stopping_can_be_turned_off_over_several_seeds(composed: Compose) -> None:
    assert composed(settings=["training.early_stop=0", "repeats=2"]).training.early_stop == 0


def test_configuration_survives_json(composed: Compose) -> None:
    config = composed(settings=["training.schedule=[[10, 0.5]]"])
    assert StudyConfig.model_validate(config.model_dump(mode="json")) == config
    assert StudyConfig.model_validate_json(config.model_dump_json()) == config


def test_paper_preset_is_section_iii_a(composed: Compose) -> None:
    config = composed(preset="paper")
    genetic = config.genetic
    assert config.preset == "paper"
    assert genetic.population == 80
    assert genetic.elites == 6
    assert genetic.initial_depth == 2
    assert genetic.selection == "roulette"
    assert genetic.crossover == 0.8
    assert genetic.integer_step == 0.05
    assert genetic.replacement == 0.05
    assert genetic.shrink == 0.025
    assert genetic.grow == 0.025
    assert not genetic.viable
    assert genetic.weights == {
        "log": 3,
        "sqrt": 2,
        "square": 1,
        "+": 1,
        "*": 1,
        "-": 1,
        "/": 1,
        "x": 3,
        "y": 3,
        "1": 1,
        "-1": 1,
    }
    assert len(config.training.learning_rates) == 1
    assert config.training.early_stop == 0
    assert not config.funnel.derivative
    assert not config.funnel.descent


def test_default_preset_is_the_default(composed: Compose) -> None:
    config = composed()
    assert config == composed(preset="default")
    assert config.preset == "default"
    assert config != composed(preset="paper")


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("training.steps=100", ("training", "steps"), 100),
        ("training.momentum=0.9", ("training", "momentum"), 0.9),
        ("training.momentum = 0.9", ("training", "momentum"), 0.9),
        ("training.eps=1e-6", ("training", "eps"), 1e-6),
        ("training.learning_rates=[0.1, 1.0]", ("training", "learning_rates"), (0.1, 1.0)),
        ("training.learning_rates=[1]", ("training", "learning_rates"), (1.0,)),
        ("training.schedule=[[100, 0.5], [200, 0.1]]", ("training", "schedule"), ((100, 0.5), (200, 0.1))),
        ("training.class_reduction=mean", ("training", "class_reduction"), "mean"),
        ('training.class_reduction="mean"', ("training", "class_reduction"), "mean"),
        ("genetic.viable=false", ("genetic", "viable"), False),
        ("genetic.selection=tournament", ("genetic", "selection"), "tournament"),
        ("generations=5", ("generations",), 5),
    ],
)
def test_setting(composed: Compose, setting: str, key: tuple[str, ...], value: object) -> None:
    found: Any = composed(settings=[setting])
    for part in key:
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_last_of_two_settings_wins(composed: Compose) -> None:
    config = composed(settings=["training.steps=1", "genetic.elites=2", "training.steps=3"])
    assert (config.training.steps, config.genetic.elites) == (3, 2)


@pytest.mark.parametrize("setting", ["training.steps", "=3", "training.=3", ".steps=3", "", "training..steps=3"])
def test_setting_of_a_bad_form(composed: Compose, setting: str) -> None:
    with pytest.raises(ConfigError, match=r"key=value, e\.g\. training\.steps=100"):
        composed(settings=[setting])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("stepz = 1", "stepz"),
        ("[training]\nstepz = 1", r"training\.stepz"),
        ("[genetic]\npopulatoin = 1", r"genetic\.populatoin"),
        ("[funnel]\nx = true", r"funnel\.x"),
        ("[nonsense.deeper]\nx = 1", "nonsense"),
    ],
)
def test_unknown_key(composed: Compose, toml: Callable[[str], Path], text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"no option '{key}'; known here: "):
        composed(file=toml(text))


def test_unknown_key_lists_its_neighbours(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"no option 'training\.step'; known here: steps, batch_size, learning_rates"):
        composed(settings=["training.step=3"])
    with pytest.raises(ConfigError, match=r"no option 'trainig'; known here: task, preset, seed, phases, .*genetic"):
        composed(settings=["trainig.steps=3"])


@pytest.mark.parametrize(
    ("setting", "key", "given"),
    [
        ("training.steps=0", "training.steps", "0"),
        ("training.steps=many", "training.steps", "'many'"),
        ("training.momentum=1.5", "training.momentum", "1.5"),
        ("training.learning_rates=[]", "training.learning_rates", r"\[\]"),
        ("training.learning_rates=[-1.0]", "training.learning_rates.0", "-1.0"),
        ("training=3", "training", "3"),
        ("genetic.crossover=2", "genetic.crossover", "2"),
        ("genetic.selection=lottery", "genetic.selection", "'lottery'"),
        ("generations=0", "generations", "0"),
    ],
)
def test_bad_value(composed: Compose, setting: str, key: str, given: str) -> None:
    with pytest.raises(ConfigError, match=rf"option '{key}': .*\(given: {given}\)"):
        composed(settings=[setting])


def test_all_problems_are_named_at_once(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"training\.steps.*") as caught:
        composed(settings=["training.steps=0", "genetic.nonsense=1"])
    assert "genetic.nonsense" in str(caught.value)


def test_unknown_preset(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="no preset 'papper'; presets are paper, default"):
        composed(preset="papper")


def test_file_that_is_not_toml(composed: Compose, toml: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"options\.toml is not TOML: .*line 2"):
        composed(file=toml("[training]\nsteps: 3\n"))


def test_file_of_bytes(composed: Compose, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ConfigError, match=r"picture\.png is not TOML"):
        composed(file=tmp_path / "picture.png")


def test_file_that_is_missing(composed: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        composed(file=tmp_path / "nowhere.toml")


def test_training_of_a_task_with_some_values_changed(make_task: Callable[..., Task]) -> None:
    task = make_task(steps=77)
    config = training_config(task, {"steps": None, "learning_rates": [0.5]})
    assert (config.steps, config.batch_size, config.learning_rates) == (77, 40, (0.5,))
    with pytest.raises(ConfigError, match=r"learning_rates"):
        training_config(task, {"learning_rates": [-1]})


@pytest.mark.parametrize("setting", ["training.steps=" + "[" * 5000, ".".join(["a"] * 5000) + "=1"], ids=["value", "key"])
def test_a_setting_that_is_nested_too_deeply_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"nested too deeply|at most 10 names"):
        read_settings([setting])
