"""The HTTP API: routes, their functions, the authorizer, throttling and access logs."""

import json

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.function import AppFunction, Runtime
from infra.permissions import secret_arn, secret_statement

# HTTP APIs give up on an integration after 30 seconds.
TIMEOUT = Duration.seconds(29)
GET = apigateway.HttpMethod.GET
POST = apigateway.HttpMethod.POST
ANY = apigateway.HttpMethod.ANY
# Pages and the API's description are served to anyone; the data they show is not.
PUBLIC_PATHS = ("/", "/console", "/portal", "/web/{file}", "/v1/openapi.json")

# Where other vendors' clients send events, and what else they ask for. A greedy variable also
# stands for nothing: some clients end their paths with a slash, which no route itself can.
VENDOR_EVENT_PATHS = (
    "/ingest",
    "/ingest/{proxy+}",
    "/api/v1/events",
    "/api/v1/events/batch",
    "/api/v3/openmeter/events",
    "/v1/billing/meter_events",
    "/v2/billing/meter_events",
    "/v2/billing/meter_event_stream",
)
VENDOR_PATHS = (
    "/api/{proxy+}",
    "/customers",
    "/customers/{proxy+}",
    "/usage",
    "/usage/{proxy+}",
    "/payments/{proxy+}",
    "/session",
    "/v2/billing/{proxy+}",
)

# No addresses, credentials or bodies: who asked is in the functions' own logs, by key id.
ACCESS_LOG_FIELDS = (
    "requestId",
    "requestTime",
    "routeKey",
    "status",
    "responseLength",
    "integrationLatency",
    "integrationErrorMessage",
)


class Api(Construct):
    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.secret = self._secret(runtime)
        with_secret = {"SECRET_ARN": secret_arn(self.secret)}
        self.authorizer = AppFunction(
            self,
            "Authorizer",
            runtime=runtime,
            module="authorizer",
            timeout=Duration.seconds(10),
            environment=with_secret,
        )
        self.ingest = AppFunction(
            self, "Ingest", runtime=runtime, module="ingest", timeout=TIMEOUT, memory_mib=1024
        )
        self.api = AppFunction(
            self,
            "Api",
            runtime=runtime,
            module="api",
            timeout=TIMEOUT,
            memory_mib=1024,
            environment=with_secret,
        )
        for function in (self.authorizer, self.api):
            function.add_to_role_policy(secret_statement(self.secret))
        self.http_api = apigateway.HttpApi(
            self,
            "HttpApi",
            api_name=f"meterline-{runtime.stage.name}",
            create_default_stage=False,
        )
        # Without an identity source the authorizer is asked about every request, also one without
        # credentials, and functions answer 401 and 403 themselves: an HTTP API cannot tell a wrong
        # key from a forbidden one.
        self._lambda_authorizer = authorizers.HttpLambdaAuthorizer(
            "LambdaAuthorizer",
            self.authorizer,
            response_types=[authorizers.HttpLambdaResponseType.SIMPLE],
            identity_source=[],
            results_cache_ttl=Duration.seconds(0),
        )
        self._add_routes(runtime)
        self._add_stage(runtime)

    def _secret(self, runtime: Runtime) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            "Secret",
            description="Root key from which API key hashes, tokens and cursors are keyed.",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({}),
                generate_string_key="root_key",
                exclude_punctuation=True,
                password_length=64,
            ),
            removal_policy=runtime.stage.removal_policy,
        )
        acknowledge(secret, "SMG4", "A new root key would invalidate every API key in use.")
        return secret

    def _add_routes(self, runtime: Runtime) -> None:
        api = integrations.HttpLambdaIntegration("ApiIntegration", self.api)
        ingest = integrations.HttpLambdaIntegration("IngestIntegration", self.ingest)
        self._route("/v1/events", POST, ingest)
        self._route("/v1/{proxy+}", ANY, api)
        for path in VENDOR_EVENT_PATHS:
            self._route(path, POST, ingest)
        for path in VENDOR_PATHS:
            self._route(path, ANY, api)
        for path in PUBLIC_PATHS:
            for route in self.http_api.add_routes(path=path, methods=[GET], integration=api):
                acknowledge(route, "APIG4", "Serves a page or a description that holds no data.")
        if runtime.stage.test_clocks:
            # An advance bills every customer of its clock before it answers.
            advance_timeout = Duration.minutes(15)
            function = AppFunction(
                self, "TestClocks", runtime=runtime, module="test_clocks", timeout=advance_timeout
            )
            test_clocks = integrations.HttpLambdaIntegration("TestClocksIntegration", function)
            self._route("/v1/test-clocks", ANY, test_clocks)
            self._route("/v1/test-clocks/{proxy+}", ANY, test_clocks)

    def _route(
        self,
        path: str,
        method: apigateway.HttpMethod,
        integration: integrations.HttpLambdaIntegration,
    ) -> None:
        self.http_api.add_routes(
            path=path,
            methods=[method],
            integration=integration,
            authorizer=self._lambda_authorizer,
        )

    def _add_stage(self, runtime: Runtime) -> None:
        log_group = logs.LogGroup(
            self,
            "AccessLogs",
            retention=runtime.stage.log_retention,
            removal_policy=runtime.stage.removal_policy,
        )
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.http_api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(
                rate_limit=runtime.stage.rate_limit, burst_limit=runtime.stage.burst_limit
            ),
        )
        resource = stage.node.default_child
        assert isinstance(resource, apigateway.CfnStage)
        resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=log_group.log_group_arn,
            format=json.dumps({field: f"$context.{field}" for field in ACCESS_LOG_FIELDS}),
        )
