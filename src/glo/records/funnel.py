"""Which cheap checks a candidate must pass before it is trained."""

from __future__ import annotations

from glo.records.config import Config


class FunnelConfig(Config):
    """Which optional checks are on; the paper has neither.

    Attributes:
        derivative: reject a loss whose derivative is NaN, infinite, or zero everywhere.
        descent: reject a loss whose minimisation does not make free outputs right.
    """

    derivative: bool = False
    descent: bool = False
