"""`up`, `down` and `status`: the whole system on one machine."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from local import processes
from local.deploy import deploy, is_deployed
from local.emulator import Emulator, LocalError, port_is_taken
from local.home import REPOSITORY, Home

DEFAULT_PORT = 8787
READY_TIMEOUT_SECONDS = 60
# A function may be in the middle of a batch; then the runner keeps what it has not delivered.
SERVE_STOP_SECONDS = 90
EMULATOR_STOP_SECONDS = 60


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """One `up` or `down` at a time."""
    home.path.mkdir(parents=True, exist_ok=True)
    with (home.path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(home: Home, wanted_port: int | None) -> None:
    """Start what does not run yet and deploy what has changed.

    Without a wanted port the last one is kept. Raises LocalError when a port is taken.
    """
    serving = processes.running(home.process("serve"))
    port = wanted_port or (serving.port if serving else DEFAULT_PORT)
    if serving and serving.port == port and is_deployed(home):
        return
    if (serving is None or serving.port != port) and port_is_taken(port):
        raise taken(port)
    emulator = start_emulator(home, port)
    stop_serving(home)
    deploy(home, emulator.aws())
    start_serving(home, port, emulator)


def taken(port: int) -> LocalError:
    return LocalError(
        f"port {port} is taken by another program: stop it, or choose another with PORT=, "
        f"for example: make up PORT={port + 10}"
    )


def start_emulator(home: Home, port: int) -> Emulator:
    """The running emulator, or a new one on the port after the front's."""
    process = processes.running(home.process("emulator"))
    if process:
        return Emulator(process.port, home.path)
    emulator = Emulator(port + 1, home.path)
    if port_is_taken(emulator.port):
        raise taken(emulator.port)
    emulator.remove_temporary_files()
    child = emulator.start(home.logs / "emulator.log")
    processes.record(home.process("emulator"), child.pid, emulator.port)
    emulator.wait_until_ready(child)
    return emulator


def start_serving(home: Home, port: int, emulator: Emulator) -> None:
    """Start the front and the runner, and return when the system answers through them."""
    log = home.logs / "serve.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "local", "serve", str(port), str(emulator.port)],
            cwd=REPOSITORY,
            env={**os.environ, "METERLINE_LOCAL_DIR": str(home.path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    processes.record(home.process("serve"), child.pid, port)
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise LocalError(f"the local stack ended at once: see {log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/openapi.json", timeout=30):
                return
        except urllib.error.HTTPError as error:
            raise LocalError(
                f"the API answers {error.code} to GET /v1/openapi.json: see {home.logs}"
            ) from error
        except OSError:
            time.sleep(0.05)
    raise LocalError(f"the system did not answer within {READY_TIMEOUT_SECONDS} s: see {log}")


def stop_serving(home: Home) -> bool:
    return processes.stop(home.process("serve"), SERVE_STOP_SECONDS)


def down(home: Home, clean: bool) -> bool:
    """Stop everything; with `clean` remove the data too. Whether anything ran.

    The runner goes first: it keeps the records that no function has acknowledged, because the
    emulator's streams end with the emulator.
    """
    served = stop_serving(home)
    emulated = processes.stop(home.process("emulator"), EMULATOR_STOP_SECONDS)
    Emulator(0, home.path).remove_temporary_files()
    home.stack_json.unlink(missing_ok=True)
    if clean:
        for path in home.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
    return served or emulated
