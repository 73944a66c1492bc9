"""Sizes that keep the code readable; tests may be as long as their tables need."""

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
PACKAGES = ("shared", "functions", "infra", "local", "cli", "bench", "clients")
FILE_LINES = 320
FUNCTION_LINES = 70


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((REPOSITORY / package).rglob("*.py"))


def test_files_are_short() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_are_short() -> None:
    too_long = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno
                if node.end_lineno - node.lineno + 1 > FUNCTION_LINES:
                    too_long.append(f"{path}:{node.lineno} {node.name}")
    assert too_long == []
