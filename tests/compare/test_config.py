"""The options of a comparison."""

from __future__ import annotations

from typing import Any

import pytest

from glo.compare import ComparisonConfig
from glo.compare.config import LADDER
from glo.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 1}, "1 repeat has no spread.*at least 2 --repeats"),
        ({"repeats": 0}, "at least 2 --repeats"),
        ({"tuning_seeds": 0}, "at least 1 tuning seed"),
        ({"learning_rates": (0.1, 0.0)}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not 0.1, 0"),
        ({"learning_rates": (-0.1,)}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not -0.1"),
        ({"learning_rates": (0.1, float("nan"))}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not 0.1, nan"),
        ({"learning_rates": (float("inf"), 0.1)}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not inf, 0.1"),
        ({"learning_rates": ()}, "learning rates are positive numbers"),
    ],
)
def test_a_configuration_without_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ComparisonConfig(**options)


def test_the_ladder_is_sorted_and_each_rate_is_there_once() -> None:
    assert ComparisonConfig(learning_rates=(1.0, 0.1, 1.0, 0.3, 0.1)).ladder == (0.1, 0.3, 1.0)
    assert ComparisonConfig().ladder == LADDER == tuple(sorted(LADDER))


def test_one_rate_alone_is_fixed() -> None:
    assert ComparisonConfig(learning_rates=(0.1,)).confounded
    assert ComparisonConfig(learning_rates=(0.1, 0.1)).confounded
    assert not ComparisonConfig(learning_rates=(0.1, 0.2)).confounded
