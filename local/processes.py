"""Background processes that outlive the command that started them."""

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from local.emulator import LocalError

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A background process, its port, and its start time, which tells it from a later one that
    was given the same id."""

    pid: int
    started: str
    port: int


def record(path: Path, pid: int, port: int) -> None:
    """Remember a process that was just started."""
    path.write_text(json.dumps(asdict(Process(pid, _start_time(pid), port))))


def running(path: Path) -> Process | None:
    """The remembered process if it still runs; a stale file is forgotten."""
    try:
        process = Process(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if process.started and _start_time(process.pid) == process.started:
        return process
    path.unlink()
    return None


def stop(path: Path, timeout_seconds: float) -> bool:
    """End the remembered process and wait until it has; whether there was one.

    A process that does not end in time is killed, and LocalError says what that may have cost.
    """
    process = running(path)
    if process is None:
        return False
    os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while running(path):
        if time.monotonic() > deadline:
            os.kill(process.pid, signal.SIGKILL)
            path.unlink()
            raise LocalError(
                f"{path.stem.split('.')[0]} did not end within {timeout_seconds:.0f} s and was "
                "killed: what it had not saved is lost"
            )
        time.sleep(POLL_SECONDS)
    return True


def _start_time(pid: int) -> str:
    """When a process started, as `ps` says it; empty when there is no such process."""
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    # A zombie has ended; it only waits for its parent to notice.
    if len(listing) != 2 or listing[0].startswith("Z"):
        return ""
    return listing[1].strip()
