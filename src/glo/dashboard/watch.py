"""Watch a store: who waits is woken when something new is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from threading import Lock

from glo.errors import GloError
from glo.records import digest
from glo.store import Store

SECONDS = 0.5  # between two looks into the store
QUIET = 15.0  # seconds after which a silent stream says that it is alive


class Watch:
    """Looks into a store again and again, without writing.

    A store that is not there yet, or cannot be read, is looked for again: the dashboard may start before the search.

    Args:
        storage: of the studies.
    """

    def __init__(self, storage: str | Path) -> None:
        self.storage = storage
        self._store: Store | None = None
        self._versions: Mapping[str, str] = {}
        self._looking, self._changed = Lock(), asyncio.Condition()
        self._ended = False
        self._problem = ""  # why the store cannot be read

    def version(self, names: Sequence[str] = ()) -> str:
        """What changes whenever something of these studies is recorded.

        Args:
            names: of studies; by default all.
        """
        wanted = {name: self._versions.get(name, "") for name in names} if names else dict(self._versions)
        return digest([self._problem, sorted(wanted.items())])

    def look(self) -> None:
        """Look into the store once."""
        with self._looking:
            try:
                if self._store is None:
                    self._store = Store(self.storage, create=False)
                self._store.check_there()
                self._versions, self._problem = self._store.versions(), ""
            except GloError as error:
                self.close()
                self._versions, self._problem = {}, str(error)

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            async with self._changed:
                self._changed.notify_all()
            await asyncio.sleep(SECONDS)

    async def events(self, names: Sequence[str]) -> AsyncIterator[str]:
        """Server-sent events: the version of these studies, at once and whenever it changes, until `end`."""
        told = self.version(names)
        yield f"retry: 1000\ndata: {told}\n\n"
        while not self._ended:
            try:
                async with asyncio.timeout(QUIET):
                    told = await self._other_version(names, told)
                yield f"data: {told}\n\n"
            except TimeoutError:
                yield ": nothing new\n\n"

    async def _other_version(self, names: Sequence[str], told: str) -> str:
        """The version of these studies, as soon as it is another one, or nobody is to wait any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or self.version(names) != told)
        return self.version(names)

    async def end(self) -> None:
        """End all streams of events."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None
