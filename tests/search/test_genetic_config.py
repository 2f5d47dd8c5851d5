"""Options of the genetic algorithm: the defaults are the paper's (section III.A), and invalid options are errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from glo.errors import ConfigError
from glo.expr import Expr, parse
from glo.search import Elements, GeneticConfig

# Section III.A: 80 candidates, six elites, depth two, roulette; recombination 80 %; 5 %, 5 %, 5 % * 50 %, 5 % * 50 %.
PAPER = {
    "population": 80,
    "elites": 6,
    "initial_depth": 2,
    "weights": {"log": 3, "x": 3, "y": 3, "sqrt": 2, "square": 1, "+": 1, "*": 1, "-": 1, "/": 1, "1": 1, "-1": 1},
    "selection": "roulette",
    "crossover": 0.8,
    "integer_step": 0.05,
    "replacement": 0.05,
    "shrink": 0.025,
    "grow": 0.025,
    "viable": False,
}


@pytest.mark.parametrize("option", PAPER)
def test_default_is_that_of_the_paper(option: str) -> None:
    assert GeneticConfig().model_dump()[option] == PAPER[option]


def test_default_limits_of_trees_are_those_of_the_language() -> None:
    """The paper has "trees of arbitrary depth"."""
    assert (GeneticConfig().max_nodes, GeneticConfig().max_depth) == (1_000, 100)


@pytest.mark.parametrize(
    "values",
    [
        {"populaton": 80},
        {"population": 0},
        {"population": 2.5},
        {"elites": -1},
        {"initial_depth": 0},
        {"tournament_size": 0},
        {"attempts": 0},
        {"selection": "rank"},
        {"max_nodes": 2},
        {"max_nodes": 1_001},
        {"max_depth": 1},
        {"max_depth": 101},
        *(
            {name: value}
            for name in ("crossover", "integer_step", "replacement", "shrink", "grow")
            for value in (-0.01, 1.01)
        ),
        *({name: float("nan")} for name in ("crossover", "integer_step", "replacement", "shrink", "grow")),
    ],
    ids=str,
)
def test_bad_option_is_an_error(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        GeneticConfig.model_validate(values)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"y": 1, "log": 1}, "x and y"),
        ({"x": 1, "log": 1}, "x and y"),
        ({"x": 0, "y": 1}, "x and y"),
        ({}, "x and y"),
        ({"x": 1, "y": 1, "sin": 1}, "sin"),
        ({"x": 1, "y": 1, "x*y": 1}, "neither an operator"),
        ({"x": 1, "y": 1, "log(2)": 1}, "neither an operator"),
        ({"x": 1, "y": 1, "": 1}, "empty"),
        ({"x": 1, "y": 1, "1e999": 1}, "finite"),
        ({"x": 1, "y": 1, "log": -1}, "greater than or equal to 0"),
        ({"x": 1, "y": 1, "log": float("nan")}, "weights"),
        ({"x": 1, "y": 1, "log": "often"}, "number"),
    ],
)
def test_bad_weights_are_an_error(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GeneticConfig.model_validate({"weights": weights})


@pytest.mark.parametrize("name", ["x", "log", "1"])
def test_infinite_weight_is_an_error(name: str) -> None:
    """Symbols cannot be drawn in proportion to infinite weights."""
    with pytest.raises(ValidationError, match="weights"):
        GeneticConfig.model_validate({"weights": {"x": 1, "y": 1, "1": 1} | {name: float("inf")}})


@given(st.sampled_from(["1", "+1", "-1", "01", " 2", "1.50", "2.0", "-0", "1e3", "1_000", "0.1", ".5", "-.5", "+.5"]))
def test_number_that_is_not_written_as_in_the_language_is_an_error(number: str) -> None:
    """A study is replayed from texts, so a leaf must equal the leaf that is parsed from its text."""
    try:
        weights = GeneticConfig(weights={"x": 1e-9, "y": 1e-9, number: 1.0}).weights
    except ConfigError:
        assert number != str(parse_or_none(number))
        return
    leaf = Elements(weights).leaf(np.random.default_rng(0))
    assert leaf.is_constant
    assert parse(str(leaf)) == leaf


def parse_or_none(text: str) -> Expr | None:
    try:
        return parse(text)
    except ValueError:
        return None


@given(st.floats(0, 1), st.integers(1, 500))
def test_valid_options_are_kept(probability: float, population: int) -> None:
    config = GeneticConfig(crossover=probability, grow=probability, population=population)
    assert (config.crossover, config.grow, config.population) == (probability, probability, population)


def test_configuration_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(GeneticConfig(), "population", 3)  # noqa: B010 - a plain assignment is what pyright refuses
