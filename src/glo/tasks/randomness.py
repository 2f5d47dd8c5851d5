"""Global random state: one thread at a time may use it, and it is left as it was."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


class _ForkableLock:
    """A reentrant lock that is free in a forked child, whichever thread held it in the parent."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()


_one_thread = _ForkableLock()


@contextmanager
def random_state_restored() -> Iterator[None]:
    """Afterwards, the global generators of Python, NumPy and PyTorch (and of GPUs in use) are where they were before.

    The generators belong to the whole process, so only one thread at a time is let in; it may enter again.
    """
    with _one_thread.lock:
        devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state is the subject
        with torch.random.fork_rng(devices=devices):
            try:
                yield
            finally:
                random.setstate(of_python)
                np.random.set_state(of_numpy)  # noqa: NPY002


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and PyTorch; call it inside `random_state_restored`."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - a model or a dataset of the user's may draw from it
    # `torch.manual_seed` would remember a call, with its stack, for each kind of device that is missing.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
