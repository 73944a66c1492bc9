"""Only processes that we started are found, and stopped."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import processes
from local.emulator import LocalError

SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", request.param], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("child", [SLEEPER], indirect=True)
def test_a_recorded_process_is_found_and_ends(
    child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "x.process.json"
    processes.record(path, child.pid, 8787)
    found = processes.running(path)
    assert found is not None
    assert (found.pid, found.port) == (child.pid, 8787)
    assert processes.stop(path, timeout_seconds=10)
    assert not path.exists()
    assert child.wait() != 0


@pytest.mark.parametrize("child", [STUBBORN], indirect=True)
def test_a_process_that_will_not_end_is_killed_and_named(
    child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "emulator.process.json"
    processes.record(path, child.pid, 8787)
    with pytest.raises(LocalError, match="emulator did not end"):
        processes.stop(path, timeout_seconds=0.2)
    assert child.wait() != 0


def test_a_process_that_only_has_the_same_id_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.process.json"
    stale = {"pid": os.getpid(), "started": "Thu Jan  1 00:00:00 1970", "port": 1}
    path.write_text(json.dumps(stale))
    assert not processes.stop(path, timeout_seconds=1)
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "12", '{"pid": 1}'])
def test_a_file_that_says_nothing_is_no_process(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.process.json"
    path.write_text(content)
    assert processes.running(path) is None
