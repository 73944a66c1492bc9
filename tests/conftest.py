"""Plumbing that every kind of test shares."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
# Synthesized stages, an emulator, a deployed stack: each is made once a session.
SHARING_KINDS = ("infra", "integration", "e2e")

# Node and the CDK come from the environment's own directory, also when pytest is started directly.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# A shared machine's pauses say nothing about the code, and a failure must be seen twice.
settings.register_profile("meterline", deadline=None, derandomize=True)
settings.load_profile("meterline")


# First, because xdist reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps tests that share something costly on one worker, and spreads the others by file."""
    for item in items:
        path = item.path.relative_to(TESTS)
        kind = path.parts[0]
        group = kind if kind in SHARING_KINDS else path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
