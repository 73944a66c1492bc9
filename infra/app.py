"""Synthesizes one stage, chosen with `-c stage=local|prod`; needs no credentials and no network."""

import tempfile
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.bundle import build_bundle
from infra.stack import MeterlineStack
from infra.stage import Stage, load_stage

REPOSITORY = Path(__file__).parent.parent


def synthesizer(stage: Stage) -> cdk.IStackSynthesizer:
    """The local AWS checks IAM and has none of the roles that bootstrapping makes, so there
    the CLI deploys with its own credentials."""
    if stage.protected:
        return cdk.DefaultStackSynthesizer()
    return cdk.CliCredentialsStackSynthesizer()


def main() -> None:
    app = cdk.App(analytics_reporting=False)
    stage = load_stage(app.node.get_context("stage"), app.node.try_get_context("test_clocks"))
    # Assets are copied into the cloud assembly as the stack is made.
    with tempfile.TemporaryDirectory() as scratch:
        MeterlineStack(
            app,
            f"Meterline-{stage.name}",
            stage=stage,
            bundle=build_bundle(REPOSITORY, stage, Path(scratch)),
            synthesizer=synthesizer(stage),
            termination_protection=stage.protected,
        )
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
