"""Plumbing that every kind of test shares."""

import os
import sys
from pathlib import Path

from hypothesis import settings

# Node and the CDK come from the environment's own directory, also when pytest is started directly.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# A shared machine's pauses say nothing about the code, and a failure must be seen twice.
settings.register_profile("meterline", deadline=None, derandomize=True)
settings.load_profile("meterline")
