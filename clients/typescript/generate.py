"""Writes src/api.ts: the API's own description, as it is served, in TypeScript's types."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY))

from functions.routes.openapi import document_text  # noqa: E402


def generated() -> str:
    """The types of every route, those of test clocks included."""
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "openapi.json"
        description.write_text(document_text(test_clocks=True))
        program = REPOSITORY / "node_modules" / ".bin" / "openapi-typescript"
        # A property with a default may be left out of what is sent.
        command = [program, description, "--default-non-nullable=false"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    (HERE / "src" / "api.ts").write_text(generated())
