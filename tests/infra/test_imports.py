"""Imports go one way: domain <- services <- adapters, functions; and infra stands apart."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
OWN = ("shared", "functions", "infra", "local", "cli", "bench", "tests")

# What each package may import of the repository, beside itself.
ALLOWED = {
    "shared/domain": (),
    "shared/services": ("shared.domain",),
    "shared/wire": ("shared.domain", "shared.services"),
    "shared/adapters": ("shared.domain", "shared.services"),
    "functions": ("shared",),
    "infra": (),
}
# What the packages that decide may import beside the standard library: signing a token is
# computation, everything else that is installed is for adapters.
INSTALLED: dict[str, set[str]] = {"shared/domain": set(), "shared/services": {"jwt"}}
# The domain is told the time and draws no lots, so that it can be asked twice.
IMPURE_MODULES = {"io", "os", "pathlib", "random", "secrets", "socket", "subprocess", "time"}
CLOCK_CALLS = {"now", "today", "utcnow"}


def sources(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide their direction"
            assert node.module
            # `from shared import domain` names a module by its alias.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    allowed = (package.replace("/", "."), *ALLOWED[package])
    for path in sources(package):
        for name in imports(path):
            assert not within(name, OWN) or within(name, allowed), f"{path} imports {name}"


@pytest.mark.parametrize("package", INSTALLED)
def test_decisions_need_no_libraries(package: str) -> None:
    allowed = sys.stdlib_module_names | set(OWN) | INSTALLED[package]
    for path in sources(package):
        for name in imports(path):
            assert name.partition(".")[0] in allowed, f"{path} imports {name}"


def test_the_domain_has_no_input_output_clock_or_chance() -> None:
    for path in sources("shared/domain"):
        for name in imports(path):
            assert name.partition(".")[0] not in IMPURE_MODULES, f"{path} imports {name}"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in CLOCK_CALLS, f"{path}:{node.lineno} asks a clock"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "open", f"{path}:{node.lineno} opens a file"
