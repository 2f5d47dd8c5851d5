"""A whole comparison: which losses, on which data, over which lengths of training, and the warnings."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compare.scripted import compared
from glo.catalog import NAMED, baikal, cross_entropy
from glo.compare import Comparison, ComparisonConfig, compare_losses
from glo.compare.comparison import FIXED, FIXED_UNIT
from glo.compare.config import ADAPTIVE_LADDER, UNIT_LADDER
from glo.compare.families import baselines
from glo.compare.horizons import Horizon
from glo.errors import ConfigError, ExpressionError, TaskError
from glo.execution import InlineExecutor
from glo.expr import parse
from glo.records import TrainingConfig
from glo.tasks import Task, training_config, with_label_noise, with_train_fraction
from small import CLASSES, certainty, points

STEPS = 8
LADDER = (0.1, 1.0, 10.0)
TINY = ComparisonConfig(learning_rates=LADDER, tuning_seeds=1, repeats=2, smoothings=(0.2, 0.5))


def task_of(**changes: Any) -> Task:
    options: dict[str, Any] = {"metric": certainty, "training": {"steps": STEPS, "batch_size": 20}}
    return Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1), points(2), **{**options, **changes})


def regression() -> Task:
    train, validation, test = ((inputs, inputs[:, 0] + 0.1) for inputs, _ in map(points, range(3)))
    training = {"steps": STEPS, "batch_size": 20}
    return Task("values", lambda: nn.Linear(4, 1), train, validation, test, link="identity", training=training)


def config_of(**changes: Any) -> ComparisonConfig:
    return ComparisonConfig(**{**TINY.model_dump(), **changes})


def comparison_of(*losses: Any, **changes: Any) -> Comparison:
    return compare_losses(task_of(), losses, config_of(**changes), device="cpu")


def summary_of(*losses: Any, **changes: Any) -> dict[str, Any]:
    return comparison_of(*losses, **changes).to_dict()


def raw_summary_of(*losses: Any, **changes: Any) -> dict[str, Any]:
    """Of losses that are trained as they are written."""
    task = task_of(training={"steps": STEPS, "batch_size": 20, "unit_gradient": False})
    return compare_losses(task, losses, config_of(**changes), device="cpu").to_dict()


def test_a_comparison_is_made_by_the_protocol_with_the_baselines() -> None:
    """As `compare` makes it, by hand; the baseline comes first."""
    task, config = task_of(), config_of(seed=3)
    families = {**baselines(task, (0.2, 0.5)), "baikal": {"": baikal}}
    expected = compared(task, families, config, TrainingConfig(steps=STEPS, batch_size=20, unit_gradient=True))
    comparison = compare_losses(task, ["baikal"], config, device="cpu")
    assert {row.name: row for row in comparison.rows} == expected
    assert [row.name for row in comparison.rows] == ["cross_entropy", "label_smoothing", "baikal"]
    assert comparison.baseline == "cross_entropy"
    assert comparison.row("label_smoothing").variant in ("0.2", "0.5")
    assert comparison.horizons == [Horizon(STEPS, comparison.rows)]
    assert comparison.agreement == []


def test_another_optimizer_than_sgd_has_another_ladder_unless_one_is_given() -> None:
    task, adam = task_of(), TrainingConfig(steps=2, batch_size=20, optimizer="adam")
    own = {key: value for key, value in TINY.model_dump().items() if key != "learning_rates"}

    def ladder(config: ComparisonConfig, training: TrainingConfig) -> tuple[float, ...]:
        return compare_losses(task, ["baikal"], config, training=training, device="cpu").config.ladder

    assert ladder(ComparisonConfig(**own), adam) == ADAPTIVE_LADDER
    assert ladder(ComparisonConfig(**own), TrainingConfig(steps=2, batch_size=20)) == ComparisonConfig().ladder
    unit = TrainingConfig(steps=2, batch_size=20, unit_gradient=True)
    assert ladder(ComparisonConfig(**own), unit) == UNIT_LADDER
    assert ladder(TINY, adam) == LADDER


def test_the_dictionary_has_the_rows_by_name() -> None:
    comparison = comparison_of("baikal", steps=(3, 6))
    found = comparison.to_dict()
    assert found["losses"] == {row.name: row.to_dict() for row in comparison.rows}
    assert [horizon["steps"] for horizon in found["horizons"]] == [3, 6]
    assert found["horizons"][-1]["losses"] == found["losses"]
    assert found["agreement"] == [between.to_dict() for between in comparison.agreement]
    assert "name" not in found["losses"]["baikal"]


def test_training_options_may_be_given() -> None:
    """Those of the search that found the loss; the configuration's steps win over theirs."""
    training = TrainingConfig(steps=5, batch_size=7, momentum=0.9, learning_rates=(9.0,), early_stop=0.5)
    own, given = (
        compare_losses(task_of(), ["baikal"], config_of(), training=each, device="cpu") for each in (None, training)
    )
    assert (own.training.steps, own.training.batch_size, own.training.momentum) == (STEPS, 20, 0)
    assert given.training == training
    assert given.rows != own.rows
    same = task_of(training={"steps": 5, "batch_size": 7, "momentum": 0.9})
    raw = {**same.training, "unit_gradient": False}
    assert given.rows == compare_losses(task_of(training=raw), ["baikal"], config_of(), device="cpu").rows
    longer = compare_losses(task_of(), ["baikal"], config_of(steps=(4, 9)), training=training, device="cpu")
    assert [horizon.steps for horizon in longer.horizons] == [4, 9]
    assert longer.training == training.model_copy(update={"steps": 9})


def test_losses_by_name_text_and_expression() -> None:
    losses = summary_of("baikal", " x*y ", parse("x*sqrt(y)"), "sqrt-likelihood")["losses"]
    assert list(losses) == ["cross_entropy", "label_smoothing", "baikal", "x*y", "x*sqrt(y)", "sqrt-likelihood"]
    assert losses["baikal"]["expression"] == str(NAMED["baikal"])
    assert losses["x*y"]["expression"] == "x*y"
    assert losses["sqrt-likelihood"]["values"] == losses["x*sqrt(y)"]["values"]


@pytest.mark.parametrize("same", ["cross_entropy", "cross-entropy", "x*log(y)", cross_entropy])
def test_a_loss_that_is_a_baseline_is_not_listed_twice(same: Any) -> None:
    losses = summary_of(same, "baikal")["losses"]
    assert list(losses) == ["cross_entropy", "label_smoothing", "baikal"]


def test_a_loss_given_twice_is_listed_once() -> None:
    assert list(summary_of("baikal", "baikal ")["losses"]) == ["cross_entropy", "label_smoothing", "baikal"]


def test_label_smoothing_of_the_training_is_said() -> None:
    training = training_config(task_of(), {"label_smoothing": 0.1, "steps": 20})
    comparison = compare_losses(task_of(), ["baikal"], config_of(), training=training, device="cpu")
    assert [warning for warning in comparison.warnings if "label_smoothing=0.1 smooths the labels of all" in warning]


def test_without_baselines_the_first_loss_is_compared_with() -> None:
    summary = summary_of("baikal", "cross_entropy", baselines=False)
    assert list(summary["losses"]) == ["baikal", "cross_entropy"]
    assert summary["baseline"] == "baikal"
    assert summary["losses"]["baikal"]["difference"] is None
    assert summary["losses"]["cross_entropy"]["difference"] is not None


@pytest.mark.parametrize(
    ("task", "losses", "with_baselines"), [(task_of, ["baikal"], False), (task_of, [], False), (regression, ["mse"], True)]
)
def test_one_loss_alone_is_no_comparison(task: Any, losses: list[str], with_baselines: bool) -> None:
    with pytest.raises(ConfigError, match=r"only one loss: give another .*or leave the baselines in"):
        compare_losses(task(), losses, config_of(baselines=with_baselines), device="cpu")


def test_regression_is_compared_with_squared_error() -> None:
    comparison = compare_losses(regression(), ["mae"], config_of(learning_rates=(0.01, 0.1, 1.0)), device="cpu")
    assert [row.name for row in comparison.rows] == ["mse", "mae"]
    assert comparison.metric == "r2"
    assert comparison.row("mse").mean > 0.5


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"repeats": 1}, ConfigError, "at least 2 --repeats"),
        ({"learning_rates": (0.0,)}, ConfigError, "learning rates are positive"),
        ({"steps": (0,)}, ConfigError, "steps"),
        ({"label_noise": 1.5}, TaskError, "label noise is a fraction"),
        ({"train_fraction": 0.0}, TaskError, "fraction of the training data"),
        ({"smoothings": (1.0,)}, ConfigError, "label smoothing needs"),
    ],
)
def test_misuse_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        summary_of("baikal", **changes)


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ExpressionError, match=r"named losses are .*baikal"):
        summary_of("baical")


def test_several_lengths_of_training() -> None:
    """Each a comparison of its own, in order; the longest is the result.

    A loss multiplied by 16 is ahead at first, at a rate of 0.1 for all, and behind when it has become too sure of itself.
    """
    loud, fixed = "16*x*log(y)", {"learning_rates": (0.1,)}
    summary = raw_summary_of(loud, steps=(100, 3, 12, 3), **fixed)
    assert [horizon["steps"] for horizon in summary["horizons"]] == [3, 12, 100]
    assert summary["losses"] == summary["horizons"][-1]["losses"]
    assert summary["training"]["steps"] == 100
    alone = raw_summary_of(loud, steps=(12,), **fixed)
    assert alone["losses"] == summary["horizons"][1]["losses"]
    first, second, third = (horizon["losses"] for horizon in summary["horizons"])
    assert len({losses["cross_entropy"]["mean"] for losses in (first, second, third)}) == 3
    assert [between["steps"] for between in summary["agreement"]] == [[3, 12], [3, 100], [12, 100]]
    for between, (before, after) in zip(
        summary["agreement"], [(first, second), (first, third), (second, third)], strict=True
    ):
        pairs = [("cross_entropy", "label_smoothing"), ("cross_entropy", loud), ("label_smoothing", loud)]
        flipped = [
            [a, b] for a, b in pairs if (before[a]["mean"] > before[b]["mean"]) != (after[a]["mean"] > after[b]["mean"])
        ]
        assert between["kendall_tau"] == pytest.approx(1 - 2 * len(flipped) / 3)
        assert [flip["losses"] for flip in between["flips"]] == flipped
    flips = [warning for warning in summary["warnings"] if " is ahead of " in warning]
    assert len(flips) == sum(len(between["flips"]) for between in summary["agreement"]) > 0


def test_label_noise_and_less_data_are_those_of_the_variants() -> None:
    """With the seed of the comparison; what is measured is another number than without."""
    for changes, changed in [
        ({"label_noise": 0.4}, with_label_noise(task_of(), 0.4, seed=7)),
        ({"train_fraction": 0.5}, with_train_fraction(task_of(), 0.5, seed=7)),
        ({"label_noise": 0.4, "train_fraction": 0.5}, with_train_fraction(with_label_noise(task_of(), 0.4, 7), 0.5, 7)),
    ]:
        summary = summary_of("baikal", seed=7, **changes)
        expected = compare_losses(changed, ["baikal"], config_of(seed=7), device="cpu").to_dict()
        plain = summary_of("baikal", seed=7)
        assert summary["losses"] == expected["losses"]
        assert summary["losses"]["cross_entropy"]["values"] != plain["losses"]["cross_entropy"]["values"]
        assert {key: summary[key] for key in changes} == changes


def test_only_training_data_are_changed() -> None:
    """Whatever is measured, is measured against the true labels of validation and test."""
    seen: list[Tensor] = []

    def watching(predictions: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return certainty(predictions, targets)

    # Labels of their own, so that validation and test are told apart.
    validation, test = (points(1)[0], (torch.arange(60) + 1) % CLASSES), (points(2)[0], (torch.arange(60) + 2) % CLASSES)
    task = Task("points", lambda: nn.Linear(4, CLASSES), points(0), validation, test, watching, training={"steps": 2})
    inputs, labels = (tensor.clone() for tensor in points(0))
    config = config_of(label_noise=0.5, train_fraction=0.5)
    compare_losses(task, ["baikal"], config, cluster=InlineExecutor())
    whole = {tuple(targets.tolist()) for targets in seen if len(targets) == 60}  # the others are parts of test
    assert whole == {tuple(validation[1].tolist()), tuple(test[1].tolist())}
    assert torch.equal(task.split("train").inputs, inputs)
    assert torch.equal(task.split("train").targets, labels)


@pytest.mark.parametrize("changes", [{"label_noise": 0.2}, {"train_fraction": 0.5}])
def test_regression_has_no_labels_to_make_wrong(changes: dict[str, float]) -> None:
    with pytest.raises(TaskError, match="'values' is a regression"):
        compare_losses(regression(), ["mae"], config_of(**changes), device="cpu")


def test_one_fixed_rate_is_confounded_and_warned_of() -> None:
    """A loss looks better for being multiplied by 16; on the ladder it does not, and there is no warning."""
    fixed = raw_summary_of("16*x*log(y)", learning_rates=(0.02,), repeats=4, baselines=True)
    assert fixed["confounded"] is True
    assert fixed["warnings"] == [FIXED]
    assert all(word in FIXED for word in ("same learning rate", "larger gradient", "confounded"))
    assert fixed["losses"]["16*x*log(y)"]["difference"] > 0.1
    assert fixed["losses"]["16*x*log(y)"]["p_holm"] < 0.05
    rungs = tuple(2.0**power for power in range(-12, 7))
    fair = raw_summary_of("16*x*log(y)", learning_rates=rungs, repeats=4)
    assert fair["confounded"] is False
    assert fair["warnings"] == []
    assert fair["losses"]["16*x*log(y)"]["values"] == fair["losses"]["cross_entropy"]["values"]


def test_with_the_unit_gradient_a_factor_of_a_loss_is_no_advantage_at_a_fixed_rate() -> None:
    fixed = summary_of("16*x*log(y)", learning_rates=(0.02,))
    assert fixed["warnings"] == [FIXED_UNIT]
    loud, standard = (fixed["losses"][name] for name in ("16*x*log(y)", "cross_entropy"))
    assert (loud["scale"], standard["scale"]) == (1 / 16, 1.0)
    assert loud["values"] == standard["values"]


def test_a_rate_at_the_edge_is_warned_of_by_name() -> None:
    summary = summary_of("baikal", learning_rates=(1e-9, 2e-9))
    edges = {name for name, row in summary["losses"].items() if row["at_edge"]}
    assert "baikal" in edges
    assert len(summary["warnings"]) == len(edges)
    for name in edges:
        (warning,) = [text for text in summary["warnings"] if f"for {name}, " in text]
        assert f"{summary['losses'][name]['learning_rate']:g}" in warning
        assert "--learning-rates" in warning


def test_the_seed_decides_everything() -> None:
    first, again, other = (summary_of("baikal", seed=seed, label_noise=0.2, steps=(3, 6)) for seed in (1, 1, 2))
    assert first == again
    assert first["losses"]["cross_entropy"]["values"] != other["losses"]["cross_entropy"]["values"]


def test_provenance() -> None:
    labels: list[str] = []
    config = config_of(steps=(3, 6), seed=4)
    summary = compare_losses(
        task_of(), ["baikal"], config, device="cpu", on_progress=lambda label, *_: labels.append(label)
    ).to_dict()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["task"], summary["metric"], summary["device"]) == ("points", "certainty", "cpu")
    assert (summary["seed"], summary["repeats"], summary["tuning_seeds"]) == (4, 2, 1)
    assert (summary["label_noise"], summary["train_fraction"], summary["learning_rates"]) == (0.0, 1.0, list(LADDER))
    assert {"glo", "python", "torch", "numpy"} <= summary["versions"].keys()
    assert {"platform", "cores", "threads"} <= summary["hardware"].keys()
    assert summary["hardware"]["threads"] == 1
    assert (summary["training"]["steps"], summary["training"]["batch_size"]) == (6, 20)
    assert not {"learning_rates", "early_stop"} & summary["training"].keys()  # neither is used
    assert set(labels) == {"choosing learning rates", "measuring on test"}
