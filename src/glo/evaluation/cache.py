"""The cache: known outcomes by context and fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from glo.records import Outcome, Status

# Outcomes that depend on the expression alone, not on circumstances: only these are remembered.
REUSABLE = (Status.TRAINED, Status.REJECTED, Status.STOPPED, Status.DIVERGED)


class Cache(Protocol):
    """Remembers outcomes; a `glo.store.Store` is a cache.

    A context is a digest of all that an outcome depends on besides the loss (`glo.execution.result_key`); a fingerprint
    stands for all losses that train alike.
    """

    def lookup(self, context: str, fingerprints: Sequence[str]) -> dict[str, Outcome]:
        """The known outcomes of these losses in a context, by fingerprint."""
        ...

    def remember(self, outcomes: Mapping[str, Mapping[str, Outcome]], /) -> None:
        """Keep outcomes, by context and fingerprint; an outcome that is known already is not replaced."""
        ...


class MemoryCache:
    """A cache in memory, for evaluations without a store."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Outcome]] = {}

    def lookup(self, context: str, fingerprints: Sequence[str]) -> dict[str, Outcome]:
        known = self._known.get(context, {})
        return {mark: known[mark] for mark in fingerprints if mark in known}

    def remember(self, outcomes: Mapping[str, Mapping[str, Outcome]], /) -> None:
        for context, learned in outcomes.items():
            self._known[context] = {**learned, **self._known.get(context, {})}
