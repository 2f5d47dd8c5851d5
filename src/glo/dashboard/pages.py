"""The pages of the dashboard, made of what the store has, and kept until that changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode

from glo.dashboard.charts import progress_charts
from glo.dashboard.watch import Watch
from glo.errors import GloError, MissingStoreError
from glo.report.content import StudyContent
from glo.report.page import Live, asset, environment, headline, render, study_page
from glo.store import Store, without_password
from glo.study.reporting import recorded_content

KEPT = 16  # pages and studies together, those that were asked for last: a large study takes megabytes
Page = tuple[int, str]  # HTTP status and HTML


@dataclass(frozen=True)
class Row:
    """A study in the table of all studies, of which little is kept.

    Attributes:
        best: its best loss and the fitness of that; None if nothing could be trained.
        fitness_label: what a fitness is.
        verdict: in one sentence; empty if there is none.
    """

    name: str
    task: str
    state: str
    best: tuple[str, float] | None
    fitness_label: str
    verdict: str


class Pages:
    """Makes the pages.

    Args:
        watch: knows the store, and the versions of its studies.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._kept: OrderedDict[tuple[str, ...], tuple[str, Any]] = OrderedDict()
        self._rows: dict[str, tuple[str, Row]] = {}  # by name, with the version
        self._lock = Lock()  # one page is made at a time: two would only slow each other down

    def index(self) -> Page:
        """All studies, the newest first."""
        return self._page(("index",), (), self._index)

    def study(self, name: str) -> Page:
        """What the report of a study shows."""
        return self._page(("study", name), (name,), lambda live: study_page(self._content(name), live))

    def compared(self, names: Sequence[str]) -> Page:
        """Several studies beside each other."""
        return self._page(("compare", *names), names, lambda live: self._compared(names, live))

    def _index(self, live: Live) -> str:
        with closing(Store(self._watch.storage, create=False)) as store:
            names = [record.name for record in store.studies()]
        self._rows = {name: self._row(name) for name in reversed(names)}
        return self._rendered("index.html.j2", live, rows=[row for _, row in self._rows.values()])

    def _row(self, name: str) -> tuple[str, Row]:
        """The row of a study, with its version; a study that has changed is read anew, and not kept for that."""
        version = self._watch.version((name,))
        if name in self._rows and self._rows[name][0] == version:
            return self._rows[name]
        content = recorded_content(self._watch.storage, name)
        best = None if content.best is None else (content.best.expression, content.best.fitness)
        verdict = "" if content.judgement is None else headline(content.judgement)
        return version, Row(name, content.task, content.state, best, content.fitness_label, verdict)

    def _compared(self, names: Sequence[str], live: Live) -> str:
        contents = [self._content(name) for name in dict.fromkeys(names)]
        return self._rendered("compare.html.j2", live, contents=contents, charts=progress_charts(contents))

    def _content(self, name: str) -> StudyContent:
        return self._fresh(
            ("content", name), self._watch.version((name,)), lambda: recorded_content(self._watch.storage, name)
        )

    def _page(self, key: tuple[str, ...], names: Sequence[str], make: Callable[[Live], str]) -> Page:
        """A page in its present version; if it cannot be made, one that says why, and follows too."""
        self._watch.look()
        live = self._live(names)
        try:
            with self._lock:
                return 200, self._fresh(key, live.version, lambda: make(live))
        except GloError as error:
            status = 200 if isinstance(error, MissingStoreError) else 404  # a store that is not there yet is no error
            return status, self._rendered("message.html.j2", live, message=str(error))

    def _fresh(self, key: tuple[str, ...], version: str, make: Callable[[], Any]) -> Any:
        """What was made for this version, made anew if that has changed."""
        if self._kept.get(key, ("", None))[0] != version:
            self._kept[key] = version, make()
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key][1]

    def _live(self, names: Sequence[str]) -> Live:
        """How a page of these studies follows them."""
        events = f"/events?{urlencode([('study', name) for name in names])}"
        return Live(events, self._watch.version(names), (asset("glo.dashboard", "live.js"),))

    def _rendered(self, template: str, live: Live, **values: Any) -> str:
        found = environment("glo.dashboard").get_template(template)
        return render(found, live, storage=without_password(self._watch.storage), headline=headline, quote=quote, **values)
