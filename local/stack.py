"""`up`, `down` and `status`: the whole system on one machine."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from local import processes
from local.access import describe, is_open, open_access, read_stack
from local.deploy import deploy, is_deployed, outputs
from local.emulator import Aws, Emulator, LocalError, port_is_taken
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
    # What serves an emulator that has ended knows nothing of the next one.
    in_place = (
        serving is not None
        and serving.port == port
        and processes.running(home.process("emulator")) is not None
    )
    if (serving is None or serving.port != port) and port_is_taken(port):
        raise taken(port)
    emulator = start_emulator(home, port)
    if not is_deployed(home, emulator.aws()):
        deploy(home, emulator.aws())
        in_place = False
    if not in_place:
        stop_serving(home)
        start_serving(home, port, emulator)
    url = f"http://127.0.0.1:{port}"
    wait_until_answering(home, url)
    stack = read_stack(home)
    if not in_place or not is_open(stack, url):
        stack = open_access(home, emulator.aws(), url)
        warm(emulator.aws(), url)
    print(describe(stack))


def status(home: Home) -> bool:
    """Say where the system runs; whether it does."""
    serving = processes.running(home.process("serve"))
    if serving is None or processes.running(home.process("emulator")) is None:
        print("not running: make up starts it")
        return False
    print(describe(read_stack(home)))
    return True


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
    """Start the front and the runner, without waiting for them."""
    with serve_log(home).open("ab") as output:
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


def wait_until_answering(home: Home, url: str) -> None:
    """Return when the API answers through the front; LocalError says what stands in the way."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while processes.running(home.process("serve")) and time.monotonic() < deadline:
        try:
            answer = urllib3.request("GET", f"{url}/v1/openapi.json", retries=False, timeout=60)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
            continue
        if answer.status != 200:
            raise LocalError(
                f"the API answers {answer.status} to GET /v1/openapi.json: see {home.logs}"
            )
        return
    raise LocalError(f"the system does not answer: see {serve_log(home)}")


def warm(aws: Aws, url: str) -> None:
    """Starts the functions that have not run yet, so that the first event does not wait for it."""
    urllib3.request("POST", f"{url}/v1/events", json={}, retries=False, timeout=60)
    urllib3.request("GET", f"{url}/v1/test-clocks/none", retries=False, timeout=60)
    functions = outputs(aws)
    client = aws.client("lambda")
    for name in ("Aggregate", "React", "BillCustomer"):
        nothing = json.dumps({"Records": []})
        client.invoke(FunctionName=functions[f"{name}FunctionName"], Payload=nothing)


def serve_log(home: Home) -> Path:
    return home.logs / "serve.log"


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
    if clean:
        for path in home.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
    return served or emulated
