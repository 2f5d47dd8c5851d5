"""The digits are those of scikit-learn, which is not imported for them."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from glo.tasks.builtin.digits import images_and_labels


@pytest.mark.parametrize("has_file", [True, False], ids=["from its file", "by its function"])
def test_the_digits_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch, has_file: bool) -> None:
    if not has_file:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    known: Any = load_digits(return_X_y=True)
    for found, expected in zip(images_and_labels(), known, strict=True):
        assert np.array_equal(found, expected)
        assert found.shape == expected.shape
