"""The fixtures and sample records that the store's contract suites share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import strategies as st

from glo.records import FunnelCounts, Outcome, PhaseKind, Stage, Status, new_counts
from glo.store import GenerationRecord, Store

NewUrl = Callable[[], str]
OpenStore = Callable[[], Store]

CONFIG = {"seed": 3, "training": {"learning_rates": [0.01, 0.1], "early_stop": 0.0}, "name": "Fräulein 試験"}
VERSIONS = {"glo": "1.2", "torch": "2.0+cpu"}
UNICODE = "∂f/∂y ist 0 — нет 数"


class StoreFixtures:
    """The fixtures of a store's tests; a subclass overrides `new_url`."""

    @pytest.fixture
    def new_url(self) -> NewUrl:
        """A function that returns the URL of a store that does not exist yet, another one at each call."""
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, new_url: NewUrl) -> Iterator[OpenStore]:
        """A function that opens one and the same store at each call; the store is empty at first."""
        url, opened = new_url(), []

        def open_it() -> Store:
            opened.append(Store(url))
            return opened[-1]

        yield open_it
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Store:
        """An empty store."""
        return open_store()

    @pytest.fixture
    def study(self, store: Store) -> str:
        """The name of a study without generations in the store."""
        store.create_study("first", CONFIG, VERSIONS)
        return "first"


def generation(number: int, outcomes: list[Outcome], funnel: FunnelCounts | None = None) -> GenerationRecord:
    """The record of a generation with these outcomes."""
    return GenerationRecord(number, PhaseKind.GENETIC, f"asked-{number}", outcomes, funnel or new_counts(), 0.1 + number)


def trained(expression: str, fingerprint: str, fitness: float = 0.5) -> Outcome:
    """The outcome of a successful training."""
    return Outcome(expression, fingerprint, Status.TRAINED, Stage.TRAINING, "", fitness, 0.1)


def any_outcomes() -> st.SearchStrategy[Outcome]:
    """Any outcome that a study may record: fitness and learning rate are finite."""
    # Surrogates and the null character cannot be stored in every database, and no reason contains them.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
    number = st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(
        Outcome,
        expression=text,
        fingerprint=text,
        status=st.sampled_from(Status),
        stage=st.sampled_from(Stage),
        reason=text,
        fitness=number,
        learning_rate=st.none() | number,
    )


def any_json() -> st.SearchStrategy[object]:
    """Any JSON value without NaN and infinity, which not every database accepts."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    leaf = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
    leaf |= st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
