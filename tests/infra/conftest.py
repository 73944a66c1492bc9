"""Each stage synthesized once a session, by the app's own entry point and offline."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.assembly import Assembly

REPOSITORY = Path(__file__).parent.parent.parent


def run_app(output: Path, **context: str) -> subprocess.CompletedProcess[str]:
    """Runs the CDK app as the CDK CLI does, with `context` beside that of cdk.json."""
    configured = json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))
    }
    environment |= {
        "CDK_OUTDIR": str(output),
        "CDK_CONTEXT_JSON": json.dumps({**configured, **context}),
    }
    return subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def synthesize(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Assembly]:
    made: dict[str, Assembly] = {}

    def synthesized(stage: str) -> Assembly:
        if stage not in made:
            output = tmp_path_factory.mktemp(stage)
            result = run_app(output, stage=stage)
            assert result.returncode == 0, result.stderr + result.stdout
            made[stage] = Assembly(stage, output)
        return made[stage]

    return synthesized


@pytest.fixture(params=["local", "prod"])
def assembly(request: pytest.FixtureRequest, synthesize: Callable[[str], Assembly]) -> Assembly:
    """Both stages, one after the other."""
    return synthesize(request.param)


@pytest.fixture
def local(synthesize: Callable[[str], Assembly]) -> Assembly:
    return synthesize("local")


@pytest.fixture
def prod(synthesize: Callable[[str], Assembly]) -> Assembly:
    return synthesize("prod")
