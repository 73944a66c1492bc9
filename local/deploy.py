"""The app onto the emulator, with the same CDK CLI that deploys it to AWS."""

import json
import os
import subprocess
import sys
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import ACCOUNT, REGION, Aws, LocalError, aws_environment
from local.home import REPOSITORY, STACK_NAME, Home, sources_digest


def is_deployed(home: Home, aws: Aws) -> bool:
    """Whether the sources as they are now are what is deployed."""
    return (
        home.deployed.exists()
        and home.deployed.read_text() == sources_digest()
        # An emulator that was killed has lost what was deployed to it.
        and _stack_exists(aws, STACK_NAME)
    )


def deploy(home: Home, aws: Aws) -> None:
    """Synthesize and deploy the sources; raises LocalError after showing the CLI's own words."""
    digest = sources_digest()
    _cdk(home, aws, "synth", "--quiet", "-c", "stage=local", "--output", str(home.assembly))
    app = ("--app", str(home.assembly))
    if not _stack_exists(aws, "CDKToolkit"):
        _cdk(home, aws, "bootstrap", f"aws://{ACCOUNT}/{REGION}", *app)
    _cdk(home, aws, "deploy", STACK_NAME, "--require-approval", "never", *app)
    home.deployed.write_text(digest)


def outputs(aws: Aws) -> dict[str, str]:
    """The deployed stack's outputs by name."""
    [stack] = aws.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def resource_ids(aws: Aws) -> dict[str, str]:
    """The deployed stack's physical ids by logical id."""
    client = aws.client("cloudformation")
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in client.get_paginator("list_stack_resources").paginate(StackName=STACK_NAME)
        for resource in page["StackResourceSummaries"]
    }


def template(home: Home) -> dict[str, Any]:
    """The synthesized template of the stack."""
    parsed: dict[str, Any] = json.loads(home.template.read_text())
    return parsed


def _stack_exists(aws: Aws, name: str) -> bool:
    try:
        aws.client("cloudformation").describe_stacks(StackName=name)
    except ClientError:
        return False
    return True


def _cdk(home: Home, aws: Aws, command: str, *arguments: str) -> None:
    tools = [str(REPOSITORY / "node_modules" / ".bin"), str(REPOSITORY / ".venv" / "bin")]
    environment = {
        **os.environ,
        **aws_environment(aws.endpoint_url),
        "PATH": os.pathsep.join([*tools, os.environ.get("PATH", os.defpath)]),
        # The CLI caches accounts by access key in its home: keep this emulator's to itself.
        "CDK_HOME": str(home.path / "cdk"),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }
    finished = subprocess.run(
        ["cdk", command, *arguments, "--no-notices", "--no-color"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (home.logs / f"cdk-{command}.log").write_text(finished.stdout)
    if finished.returncode != 0:
        print(finished.stdout, file=sys.stderr)
        raise LocalError(f"cdk {command} failed")
