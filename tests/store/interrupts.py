"""Ctrl-C during a transaction: tests for every database, which set it off by SQLAlchemy's events."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from glo.store import Store
from glo.testing.store_base import StoreFixtures, generation, trained


def press_ctrl_c(*_: object) -> None:
    """A listener for an event of SQLAlchemy."""
    signal.raise_signal(signal.SIGINT)


class InterruptTests(StoreFixtures):
    """Tests of Ctrl-C; a subclass overrides the fixture `new_url`."""

    @pytest.fixture
    def ctrl_c(self) -> Iterator[None]:
        """Python's own handler of SIGINT; a process that a shell started in the background ignores the signal."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("moment", ["begin", "commit", "reset"])
    @pytest.mark.usefixtures("ctrl_c")
    def test_ctrl_c_waits_for_the_end_of_a_transaction(
        self, store: Store, study: str, moment: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Interrupted there, SQLAlchemy would print a traceback."""
        event.listen(Pool if moment == "reset" else Engine, moment, press_ctrl_c, once=True)
        first = generation(0, [trained("x*y", "f")])
        with pytest.raises(KeyboardInterrupt):
            store.record(study, first)
        assert not caplog.records
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert store.generations(study) == [first]

    @pytest.mark.usefixtures("ctrl_c")
    def test_second_ctrl_c_does_not_wait(self, store: Store, study: str) -> None:
        event.listen(Engine, "before_cursor_execute", press_ctrl_c, once=True)
        event.listen(Engine, "before_cursor_execute", press_ctrl_c, once=True, insert=True)
        with pytest.raises(KeyboardInterrupt):
            store.record(study, generation(0, [trained("x*y", "f")]))
        assert store.generations(study) == []
