"""Links: how a network's outputs become predictions."""

from __future__ import annotations

from enum import StrEnum


class Link(StrEnum):
    """How a network's outputs z become predictions y."""

    SOFTMAX = "softmax"  # one of C classes
    SIGMOID = "sigmoid"  # yes or no, for one output or for several
    IDENTITY = "identity"  # regression

    @classmethod
    def _missing_(cls, value: object) -> Link | None:
        """`Link("regression")` is the identity: the task's name, for those who do not think of links."""
        return cls.IDENTITY if value == "regression" else None
