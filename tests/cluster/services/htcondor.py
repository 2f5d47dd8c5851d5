"""A private HTCondor of one machine with 8 CPUs and 2 GPUs, independent of this machine.  HTCondor 23.9 is in Debian trixie.

Its programs come from trixie, installed once by debootstrap; everything else is this machine's.  The daemons run in a mount
namespace of their own, in which trixie's /usr hides /usr: all other paths are those that a test sees, and the mounts end as
the daemons do.  Jobs run under the machine's own root, with the same Python as the test.

HTCondor accepts no jobs from root, so a user namespace maps root to the user `daemon`, who needs no rights and no accounts
for its jobs: a personal condor.  The commands of a client enter these namespaces first.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.services.process import (
    NOTHING_STARTS,
    UnavailableError,
    free_port,
    need_root,
    programs,
    running,
    succeeds,
    tried,
    wait_until,
)

CACHE = Path("/var/cache/glo-tests")
DAEMON = 1  # uid and gid of a user that exists on every Debian
GPUS = ("GPU-11111111", "GPU-22222222")  # named as HTCondor names real GPUs
COMMANDS = (
    "condor_submit", "condor_q", "condor_rm", "condor_vacate_job", "condor_hold", "condor_release", "condor_status",
    "condor_history", "condor_version",
)  # fmt: skip

# Short intervals, so that tests need not wait for it.
CONFIG = """\
use ROLE: Personal
RELEASE_DIR = /usr
LOCAL_DIR = {folder}
LIB = /usr/lib/condor
LIBEXEC = /usr/libexec/condor
SHARE = /usr/share/condor
LOG = {folder}/log
SPOOL = {folder}/spool
EXECUTE = {folder}/execute
LOCK = {folder}/lock
RUN = {folder}/run
COLLECTOR_HOST = 127.0.0.1:{port}
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_NEGOTIATOR = *
ALLOW_ADMINISTRATOR = *
NUM_CPUS = {cpus}
MEMORY = 64000
MACHINE_RESOURCE_GPUs = {gpus}
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
USER_JOB_WRAPPER = {folder}/in_host
STARTER_JOB_ENVIRONMENT = "{environment}"
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 2
MachineMaxVacateTime = 2
"""

# debootstrap itself fails on the virtual packages of HTCondor.
INSTALL = f"""\
set -e
mount -t proc proc /proc
printf {shlex.quote(NOTHING_STARTS)} >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -qq update
apt-get -qq install --yes --no-install-recommends htcondor
apt-get clean
"""

START = """\
#!/bin/sh
set -e
echo $$ >{folder}/pid
mount --rbind / {folder}/host
mount --bind {trixie}/usr /usr
exec unshare --user --map-user={daemon} --map-group={daemon} --keep-caps /usr/sbin/condor_master -f
"""

IN_HOST = """\
#!/bin/sh
exec /usr/sbin/chroot {folder}/host /usr/bin/env --chdir="$PWD" "$@"
"""

COMMAND = """\
#!/bin/sh
export CONDOR_CONFIG={folder}/condor_config
exec nsenter --target "$(cat {folder}/pid)" --mount --user --preserve-credentials --wdns="$PWD" \\
  "/usr/bin/$(basename "$0")" "$@"
"""


@dataclass(frozen=True)
class HTCondor:
    """Everything that a client needs.

    Attributes:
        environment: variables with which condor_submit, condor_q, condor_rm, condor_vacate_job ... talk to this HTCondor.
        cpus: of its one machine.
        gpus: of its one machine.
    """

    environment: dict[str, str]
    cpus: int
    gpus: int

    def run(self, *command: str) -> str:
        """Run a command of HTCondor and return its output."""
        env = {**os.environ, **self.environment}
        return subprocess.run(["env", *command], env=env, check=True, capture_output=True, text=True).stdout

    def jobs(self) -> list[str]:
        """The jobs in the queue, waiting or running."""
        return self.run("condor_q", "-af", "ClusterId").split()

    def cancel_all(self) -> None:
        """Remove all jobs and wait until they are gone."""
        while self.jobs():
            with contextlib.suppress(subprocess.CalledProcessError):  # the job has just ended
                self.run("condor_rm", "-constraint", "true")
            time.sleep(0.1)


@contextlib.contextmanager
def serve(folder: Path, cpus: int = 8) -> Iterator[HTCondor]:
    """Serve until the end of the block; all files but the programs are in a folder."""
    trixie = _trixie()
    for name in ("host", "log", "spool", "execute", "lock", "run", "bin"):
        (folder / name).mkdir()
    _write_config(folder, trixie, cpus)
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    log = folder / "log" / "MasterLog"
    log.touch()
    start = ["unshare", "--mount", "--propagation", "private", str(folder / "start")]
    env = {**os.environ, "CONDOR_CONFIG": str(folder / "condor_config")}
    status = [str(folder / "bin" / "condor_status"), "-constraint", "PartitionableSlot", "-af", "Name"]
    queue = [str(folder / "bin" / "condor_q")]
    with running(start, folder / "start.log", signal.SIGQUIT, env) as alive:
        wait_until(lambda: (folder / "pid").exists() and succeeds(queue) and _prints(status), alive, log)
        yield HTCondor(environment, cpus, len(GPUS))


def _prints(command: list[str]) -> bool:
    return bool(subprocess.run(command, capture_output=True, check=False).stdout)


def _write_config(folder: Path, trixie: Path, cpus: int) -> None:
    config = CONFIG.format(folder=folder, port=free_port(), cpus=cpus, gpus=" ".join(GPUS), environment=_environment())
    (folder / "condor_config").write_text(config)
    for name, script in {"start": START, "in_host": IN_HOST, "bin/condor": COMMAND}.items():
        (folder / name).write_text(script.format(folder=folder, trixie=trixie, daemon=DAEMON))
        (folder / name).chmod(0o755)
    for command in COMMANDS:
        (folder / "bin" / command).symlink_to("condor")


def _environment() -> str:
    """Jobs get the search path of this process, as on a cluster whose machines are set up alike."""
    path = os.environ.get("PYTHONPATH")
    return f"PYTHONPATH='{path}'" if path else ""


def _trixie() -> Path:
    """The root of a Debian trixie with HTCondor; the first call installs it."""
    need_root("HTCondor in a Debian trixie of its own")
    if Path("/lib").resolve() != Path("/usr/lib"):
        raise UnavailableError("/lib is not /usr/lib here: trixie's /usr cannot replace this machine's")
    tried(
        ["unshare", "--mount", "unshare", "--user", f"--map-user={DAEMON}", f"--map-group={DAEMON}", "--keep-caps", "true"]
    )
    trixie, partial = CACHE / "trixie", CACHE / "trixie.partial"
    if trixie.exists():
        return trixie
    debootstrap = programs({"debootstrap": "debootstrap"})["debootstrap"]
    shutil.rmtree(partial, ignore_errors=True)
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Mounts of the installation end with the namespace, even if it fails.
    alone = ["unshare", "--mount", "--propagation", "private"]
    tried([*alone, debootstrap, "--variant=minbase", "trixie", str(partial)])
    tried([*alone, "chroot", str(partial), "sh", "-c", INSTALL])
    partial.rename(trixie)
    return trixie
