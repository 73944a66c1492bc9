"""What is deployed runs: the layer fits the platform, and nothing outside it is imported."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.assembly import Assembly
from tests.infra.conftest import REPOSITORY

REQUIREMENTS = REPOSITORY / "requirements"
MODULES = sorted(
    path.stem for path in (REPOSITORY / "functions").glob("*.py") if not path.stem.startswith("_")
)
IMPORT = """
import sys
sys.path[:0] = sys.argv[2:]
from importlib import import_module
assert callable(import_module(f"functions.{sys.argv[1]}").handler)
"""


def pins(lock: Path) -> dict[str, str]:
    """Versions by package name, as a lock file pins them."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ \\;]+)", lock.read_text(), re.MULTILINE))


def test_every_wheel_of_the_prod_layer_fits_lambda(prod: Assembly) -> None:
    wheels = list(prod.layer_directory().glob("python/*.dist-info/WHEEL"))
    assert wheels
    for wheel in wheels:
        tags = re.findall(r"^Tag: (\S+)-(\S+)-(\S+)$", wheel.read_text(), re.MULTILINE)
        assert tags, wheel
        for _, abi, platform in tags:
            assert (abi, platform) == ("none", "any") or "aarch64" in platform, wheel


def test_the_layer_holds_what_its_lock_says(assembly: Assembly) -> None:
    installed = {}
    for metadata in assembly.layer_directory().glob("python/*.dist-info/METADATA"):
        text = metadata.read_text(errors="replace")
        name = re.search(r"^Name: (\S+)", text, re.MULTILINE)
        version = re.search(r"^Version: (\S+)", text, re.MULTILINE)
        assert name
        assert version
        installed[re.sub(r"[-_.]+", "-", name[1]).lower()] = version[1]
    assert installed == pins(REQUIREMENTS / "runtime.lock")


def test_what_is_tested_is_what_is_deployed() -> None:
    development = pins(REQUIREMENTS / "dev.lock")
    for name, version in pins(REQUIREMENTS / "runtime.lock").items():
        assert development[name] == version


def test_the_code_asset_holds_only_what_functions_run(assembly: Assembly) -> None:
    assert {path.name for path in assembly.code_directory().iterdir()} == {
        "functions",
        "shared",
        "web",
    }


def test_every_handler_is_deployed_and_every_function_has_its_handler(local: Assembly) -> None:
    assert sorted(local.functions()) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_handler_imports_from_the_layer_and_the_asset_alone(local: Assembly, module: str) -> None:
    paths = [str(local.code_directory()), str(local.layer_directory() / "python")]
    result = subprocess.run(
        # Isolated and without site-packages, as if nothing else were installed.
        [sys.executable, "-I", "-S", "-c", IMPORT, module, *paths],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
