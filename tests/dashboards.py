"""A dashboard in a process of its own, and studies for it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from glo.store import Store
from glo.study import StudyResult
from made_up_studies import judgement, ordinary
from starter import ENVIRONMENT


@contextmanager
def dashboard(storage: Path, port: int = 0, *options: str) -> Iterator[str]:
    """A server in a process of its own; its address as it is printed."""
    command = [sys.executable, "-m", "glo", "dashboard", "--storage", str(storage), "--port", str(port), *options]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        try:
            yield found.group() if "?" in found.group() else found.group().rstrip("/")
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode in (0, 130)


def record(storage: Path, made: StudyResult | None = None, name: str = "made-up", judged: bool = False) -> None:
    """Write a study of made-up outcomes into a store."""
    made = made or ordinary()
    with closing(Store(storage)) as store:
        store.create_study(name, made.config.model_dump(mode="json"), made.versions)
        for each in made.history:
            store.record(name, each)
        if judged:
            store.record_judgement(name, {**judgement().to_dict(), "history_digest": made.history_digest()})
