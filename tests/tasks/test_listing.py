"""The built-in tasks can be listed without the slow imports that loading one needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from glo import tasks

LIST_TASKS = """
import sys
from glo.cli.app import main

sys.argv = ["glo", "tasks", *{arguments}]
try:
    main()
except SystemExit as ended:
    assert not ended.code
print(*sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["table", "JSON"])
def test_listing_the_tasks_imports_no_slow_library(arguments: list[str]) -> None:
    command = [sys.executable, "-c", LIST_TASKS.format(arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in tasks.task_names())
    assert "glo" in done.stderr.split()
    assert not {"torch", "sklearn", "scipy", "numpy", "requests", "pooch"} & set(done.stderr.split())


def test_each_name_of_the_package_is_there() -> None:
    assert dir(tasks) == tasks.__all__
    assert all(getattr(tasks, name) is not None for name in tasks.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(tasks, "nonsense")  # noqa: B009 - pyright knows that there is none
