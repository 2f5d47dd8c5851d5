"""Start a service by hand: `PYTHONPATH=tests python -m cluster.services slurm [COMMAND...]`.

Prints what a client needs, then runs a command with its environment, such as `bash`, or waits for Ctrl-C; then stops it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.services.process import UnavailableError

SERVICES = ("sshd", "slurm", "htcondor", "postgresql")


def main(name: str, command: list[str]) -> int:
    serve = importlib.import_module(f"cluster.services.{name}").serve
    with tempfile.TemporaryDirectory(prefix=f"glo-{name}-") as folder, serve(Path(folder)) as service:
        fields = dataclasses.asdict(service)
        environment = fields.pop("environment", {})
        for field, value in fields.items():
            print(f"# {field}: {value}")
        for variable, value in environment.items():
            print(f"export {variable}={value}", flush=True)
        if command:
            return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1] not in SERVICES:
        sys.exit(f"usage: python -m cluster.services {{{','.join(SERVICES)}}} [COMMAND...]")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except UnavailableError as reason:
        sys.exit(f"no {sys.argv[1]} here: {reason}")
