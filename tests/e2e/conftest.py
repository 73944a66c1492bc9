"""The whole system, deployed on this machine, for as long as the tests run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulator import free_port, port_is_taken
from local.home import REPOSITORY, Home


@dataclass(frozen=True)
class LocalStack:
    """One local stack in a folder of its own, driven by the commands that people type."""

    home: Home
    port: int

    def command(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python -m local NAME` with make's variables, such as PORT and CLEAN."""
        environment = {
            **os.environ,
            "METERLINE_LOCAL_DIR": str(self.home.path),
            "PORT": str(self.port),
            **variables,
        }
        return subprocess.run(
            [sys.executable, "-m", "local", name],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self) -> dict[str, str]:
        """Start it, and read what stack.json says."""
        started = self.command("up")
        assert started.returncode == 0, started.stderr + started.stdout
        stack: dict[str, str] = json.loads(self.home.stack_json.read_text())
        return stack


def two_free_ports() -> int:
    """A free port whose successor, which the emulator takes, is free too."""
    while True:
        port = free_port()
        if port < 65_535 and not port_is_taken(port + 1):
            return port


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The commands, on free ports and an empty folder; whatever was started ends with it."""
    path: Path = tmp_path_factory.mktemp("local")
    stack = LocalStack(Home(path), two_free_ports())
    yield stack
    stack.command("down", CLEAN="1")


@pytest.fixture(scope="session")
def stack(local_stack: LocalStack) -> dict[str, str]:
    """The running system's stack.json."""
    return local_stack.up()
