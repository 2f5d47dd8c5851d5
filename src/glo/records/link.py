"""Links: how a network's outputs become predictions."""

from __future__ import annotations

from enum import StrEnum

from glo.errors import ConfigError


class Link(StrEnum):
    """How a network's outputs z become predictions y."""

    SOFTMAX = "softmax"  # one of C classes
    SIGMOID = "sigmoid"  # yes or no, for one output or for several
    IDENTITY = "identity"  # regression

    @classmethod
    def named(cls, name: str) -> Link:
        """The link of this name; "regression", the kind of task, names the identity.

        Raises:
            ConfigError: if there is none.
        """
        if name == "regression":
            return cls.IDENTITY
        if name not in list(cls):
            raise ConfigError(f"link is one of {', '.join(cls)}, not {name!r}")
        return cls(name)
