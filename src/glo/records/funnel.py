"""Which cheap checks a candidate must pass before it is trained."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import field_validator

from glo.records.config import Config

Property = Literal["bounded", "monotone", "convex"]
PROPERTIES: tuple[Property, ...] = get_args(Property)


class FunnelConfig(Config):
    """Which optional checks are on; the paper has none.

    Attributes:
        constraints: properties that every loss must have: "bounded", "monotone", "convex" (docs/guide/constraints.md).
        derivative: reject a loss whose derivative is NaN, infinite, or zero everywhere.
        descent: reject a loss whose minimisation does not make free outputs right.
    """

    constraints: tuple[Property, ...] = ()
    derivative: bool = False
    descent: bool = False

    @field_validator("constraints")
    @classmethod
    def _each_once(cls, constraints: tuple[Property, ...]) -> tuple[Property, ...]:
        return tuple(name for name in PROPERTIES if name in constraints)
