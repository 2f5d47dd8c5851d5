"""Start a service for a test; if it is not available, skip the test with the reason, or fail where it is required."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeVar

import pytest

from cluster.services.process import UnavailableError

Service = TypeVar("Service")


@contextlib.contextmanager
def provided(name: str, service: contextlib.AbstractContextManager[Service]) -> Iterator[Service]:
    """Start a service; skip if it is not available here, or fail if `GLO_REQUIRE_SERVICES` lists it.

    Services that `GLO_SKIP_SERVICES` lists are not tried.
    """
    if name in listed("GLO_SKIP_SERVICES"):
        pytest.skip(f"no {name}: GLO_SKIP_SERVICES lists it")
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(service)
        except UnavailableError as reason:
            if name in listed("GLO_REQUIRE_SERVICES"):
                pytest.fail(f"{name} is required by GLO_REQUIRE_SERVICES: {reason}", pytrace=False)
            pytest.skip(f"no {name} here: {reason}")
        yield started


def listed(variable: str) -> list[str]:
    """The names in an environment variable."""
    return os.environ.get(variable, "").split(",")
