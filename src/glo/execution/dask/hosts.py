"""The hosts file of a cluster over SSH, and which addresses only this machine can reach."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glo.errors import ConfigError

LINE = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]\s]+\]|[^\s:@]+)(?::(?P<port>\d+))?(?P<options>(?:\s+\S+)*)")


@dataclass(frozen=True)
class Host:
    """A machine of a cluster.

    Attributes:
        connect: options of asyncssh.
        slots: number of concurrent trainings, if it has no GPU.
        gpus: number of workers with one GPU each.
    """

    address: str
    connect: dict[str, Any]
    slots: int = 1
    gpus: int = 0


def read_hosts(file: Path) -> list[Host]:
    """Read a hosts file: `[USER@]HOST[:PORT] [slots=N] [gpus=N]` on each line; # starts a comment.

    Raises:
        ConfigError: if the file cannot be read or names no machine, or naming the line that is wrong.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    hosts = [_host(text, f"{file}, line {i}") for i, line in enumerate(lines, 1) if (text := line.partition("#")[0].strip())]
    if not hosts:
        raise ConfigError(f"{file} names no machine")
    return hosts


def _host(text: str, where: str) -> Host:
    match = LINE.fullmatch(text)
    options: dict[str, str] = {}
    for option in match["options"].split() if match else ():
        key, _, options[key] = option.partition("=")
    if match is None or not options.keys() <= {"slots", "gpus"} or not all(value.isdigit() for value in options.values()):
        raise ConfigError(f"{where}: a machine is [USER@]HOST[:PORT] [slots=N] [gpus=N], not {text!r}")
    connect = {"username": match["user"], "port": match["port"] and int(match["port"])}
    given = {key: value for key, value in connect.items() if value is not None}
    return Host(match["host"].strip("[]"), given, max(1, int(options.get("slots", 1))), int(options.get("gpus", 0)))


def only_here(host: str) -> bool:
    """Whether only this machine can reach an address.

    Raises:
        ConfigError: if the host cannot be resolved.
    """
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError as error:
        raise ConfigError(f"there is no host {host!r}: {error.strerror or error}") from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)
