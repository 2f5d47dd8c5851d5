"""Computations of small arrays, for which PyTorch takes one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread for the caller, a thread of Python that has a number of its own.

    It shares even arrays of a few thousand numbers among its threads.  On a machine with other work, each operation then
    waits until the system lets all of them run (docs/decisions/0030-one-thread-to-screen.md).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
