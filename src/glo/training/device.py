"""Choose the device that networks are trained on."""

from __future__ import annotations

import re

import torch

from glo.errors import ConfigError

NAMES = re.compile(r"auto|(cpu|cuda|mps|xpu)(:\d+)?")


def check_device_name(device: str) -> None:
    """Whether this is the name of a device at all, on whatever machine.

    Raises:
        ConfigError: if it is not.
    """
    if not NAMES.fullmatch(device):
        raise ConfigError(f"device '{device}' cannot be used: give cpu, cuda, cuda:N or auto")


def local_device(device: str) -> torch.device:
    """The device of an executor if this process has it too, else the CPU: the executor may be on other machines."""
    try:
        return choose_device(device)
    except ConfigError:
        return torch.device("cpu")


def choose_device(device: str) -> torch.device:
    """Return the device of this name; "auto" is the GPU if there is one, else the CPU.

    Raises:
        ConfigError: if there is no such device, or PyTorch cannot use it.
    """
    check_device_name(device)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device '{device}' cannot be used: {str(error).splitlines()[0]}") from None
