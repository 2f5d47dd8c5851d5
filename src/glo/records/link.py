"""Links: how a network's outputs become predictions."""

from __future__ import annotations

from enum import StrEnum


class Link(StrEnum):
    """How a network's outputs z become predictions y."""

    SOFTMAX = "softmax"  # one of C classes
    SIGMOID = "sigmoid"  # yes or no, for one output or for several
    IDENTITY = "identity"  # regression
