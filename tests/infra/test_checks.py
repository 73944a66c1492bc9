"""The rule sets that others keep: AWS Solutions by cdk-nag, and CloudFormation's by cfn-lint."""

import json
import subprocess
import sys
from pathlib import Path

from tests.infra.assembly import Assembly
from tests.infra.conftest import REPOSITORY


def test_aws_solutions_finds_nothing_that_is_not_acknowledged(assembly: Assembly) -> None:
    report = json.loads((assembly.directory / "validation-report.json").read_text())
    [solutions] = [each for each in report["pluginReports"] if each["pluginName"] == "AwsSolutions"]
    assert solutions["violations"] == []
    assert solutions["conclusion"] == "success"


def test_cfn_lint_finds_nothing(assembly: Assembly) -> None:
    cfn_lint = Path(sys.executable).parent / "cfn-lint"
    result = subprocess.run(
        [str(cfn_lint), str(assembly.template_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
