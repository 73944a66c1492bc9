"""A Lambda function of this application: its module, its own role, its own log group."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.bundle import Bundle
from infra.permissions import allow_local_operations, table_statements
from infra.stage import Stage
from infra.tables import Tables


@dataclass(frozen=True)
class Runtime:
    """What all functions share: one code asset, one layer, one environment, the tables."""

    stage: Stage
    tables: Tables
    code: lambda_.Code
    layer: lambda_.LayerVersion
    environment: Mapping[str, str]


def make_runtime(scope: Construct, stage: Stage, bundle: Bundle, tables: Tables) -> Runtime:
    layer = lambda_.LayerVersion(
        scope,
        "Packages",
        code=lambda_.Code.from_asset(str(bundle.layer), asset_hash=bundle.layer_hash),
        description="Third-party packages, as locked in requirements/runtime.lock.",
        compatible_architectures=[lambda_.Architecture.ARM_64],
        compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
    )
    environment = {
        "STAGE": stage.name,
        "EVENTS_TABLE": tables.events.table_name,
        "BILLING_TABLE": tables.billing.table_name,
        "GRACE_SECONDS": str(stage.grace_seconds),
        "SETTLE_SECONDS": str(stage.settle_seconds),
        "TEST_CLOCKS": "1" if stage.test_clocks else "0",
        "LOG_LEVEL": stage.log_level,
    }
    return Runtime(stage, tables, lambda_.Code.from_asset(str(bundle.code)), layer, environment)


class AppFunction(lambda_.Function):
    """Runs `functions/<module>.py` with the table permissions declared for that module."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        runtime: Runtime,
        module: str,
        timeout: Duration,
        memory_mib: int = 512,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        log_group = logs.LogGroup(
            scope,
            f"{id}Logs",
            retention=runtime.stage.log_retention,
            removal_policy=runtime.stage.removal_policy,
        )
        # A role of its own rather than Lambda's managed policy, which writes to every log group.
        role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(role)
        for statement in table_statements(module, runtime.tables):
            role.add_to_policy(statement)
        if not runtime.stage.protected:
            allow_local_operations(role, module)
        super().__init__(
            scope,
            id,
            code=runtime.code,
            handler=f"functions.{module}.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            layers=[runtime.layer],
            role=role,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            timeout=timeout,
            memory_size=memory_mib,
            environment={
                **runtime.environment,
                "POWERTOOLS_SERVICE_NAME": module,
                **(environment or {}),
            },
        )
        acknowledge(
            self,
            "L1",
            "Code and layer are built for and tested on this version; moves are planned.",
        )
