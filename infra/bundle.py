"""Builds what the functions run, without Docker: the code asset and the layer of locked packages.

Bytecode is compiled ahead, because the deployed directories are read-only and would otherwise be
compiled at every cold start. The asset's zip loses modification times, so the bytecode is of the
`unchecked-hash` kind, which never compares them. It fits only the interpreter's own minor version;
without one on this machine the sources alone are deployed, which is slower to start but correct.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra.stage import Stage

CODE_PACKAGES = ("functions", "shared", "web")
LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORM = "aarch64-manylinux_2_28"
# The AWS services that functions call. botocore describes four hundred; the rest is dead weight at
# every cold start.
CALLED_SERVICES = frozenset({"dynamodb", "s3", "secretsmanager", "sqs"})
NOT_DEPLOYED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.md")


@dataclass(frozen=True)
class Bundle:
    """Directories of the two assets; the layer's `layer_hash` names its content."""

    code: Path
    layer: Path
    layer_hash: str


def build_bundle(repository: Path, stage: Stage, scratch: Path) -> Bundle:
    """Builds the code in `scratch`, and the layer in `build/` unless it is there from before."""
    build = repository / "build"
    build.mkdir(exist_ok=True)
    python = _target_python(stage)
    lock = repository / "requirements" / "runtime.lock"
    layer_hash = _layer_hash(lock, stage, python)
    layer = build / f"layer-{stage.name}-{layer_hash[:16]}"
    if not layer.exists():
        _build_layer(lock, layer, stage, python)
    return Bundle(_build_code(repository, scratch / "code", python), layer, layer_hash)


def _target_python(stage: Stage) -> str | None:
    """The interpreter whose bytecode the stage's functions can load, if this machine has it.

    The local AWS runs functions on the interpreter of this environment.
    """
    if not stage.protected:
        return sys.executable
    found = subprocess.run(
        [_uv(), "python", "find", "--no-python-downloads", "--no-project", LAMBDA_PYTHON],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None


def _layer_hash(lock: Path, stage: Stage, python: str | None) -> str:
    parts = [lock.read_text(), *_install_options(stage), str(python is not None)]
    parts += sorted(CALLED_SERVICES)
    if not stage.protected:
        parts += [sys.version, sysconfig.get_platform()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _install_options(stage: Stage) -> list[str]:
    if not stage.protected:
        return ["--python", sys.executable]
    return ["--python-version", LAMBDA_PYTHON, "--python-platform", LAMBDA_PLATFORM]


def _build_layer(lock: Path, layer: Path, stage: Stage, python: str | None) -> None:
    # Renamed into place when complete, so that an interrupted build is never taken for a layer.
    with tempfile.TemporaryDirectory(dir=layer.parent) as scratch:
        target = Path(scratch) / "layer" / "python"
        command = [_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--link-mode", "copy", "--target", str(target)]
        command += [*_install_options(stage), "--requirements", str(lock)]
        subprocess.run(command, check=True)
        shutil.rmtree(target / "bin", ignore_errors=True)
        _prune_services(target / "botocore" / "data")
        _compile(target, python)
        try:
            target.parent.rename(layer)
        except OSError:
            if not layer.exists():  # Else another synthesis came first with the same content.
                raise


def _prune_services(descriptions: Path) -> None:
    """Leaves the descriptions of the services that are called, and what is common to all."""
    for entry in descriptions.iterdir():
        if entry.is_dir() and entry.name not in CALLED_SERVICES:
            shutil.rmtree(entry)


def _build_code(repository: Path, target: Path, python: str | None) -> Path:
    for package in CODE_PACKAGES:
        shutil.copytree(repository / package, target / package, ignore=NOT_DEPLOYED)
    _compile(target, python)
    return target


def _compile(directory: Path, python: str | None) -> None:
    if python is None:
        return
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # Paths inside the bytecode are those of the function, so that tracebacks and asset hashes
    # do not depend on where the repository lies.
    options += ["-s", str(directory), "-p", "/"]
    subprocess.run([python, "-m", "compileall", *options, str(directory)], check=True)


def _uv() -> str:
    return str(Path(sys.executable).parent / "uv")
