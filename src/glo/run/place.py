"""Where a run trains, and how many candidates at once."""

from __future__ import annotations

import torch

from glo.errors import ConfigError
from glo.training import can_fork, spare_processes


def choose_slots(slots: int | None, device: torch.device) -> int:
    """How many candidates to train at once.

    Raises:
        ConfigError: for several where only one process can train.
    """
    if slots is None:
        return spare_processes(device)
    if slots < 1:
        raise ConfigError(f"slots are 1 or more, not {slots}")
    if slots > 1 and not can_fork(device):
        raise ConfigError("several slots need a CPU under Linux, without a GPU in sight: use --slots 1")
    return slots


def choose_device(device: str) -> torch.device:
    """The device of this name; "auto" is the GPU if there is one.

    Raises:
        ConfigError: if there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device '{device}' cannot be used: {str(error).splitlines()[0]}") from None
