"""Which routes exist, who answers them, and that only pages without data are open."""

import json

from tests.infra.assembly import Assembly, reference

PUBLIC = {"GET /", "GET /console", "GET /portal", "GET /web/{file}", "GET /v1/openapi.json"}
AUTHORIZED = {"POST /v1/events", "ANY /v1/{proxy+}"}
VENDORS = {
    "POST /ingest",
    "POST /ingest/{proxy+}",
    "POST /api/v1/events",
    "POST /api/v1/events/batch",
    "POST /api/v3/openmeter/events",
    "POST /v1/billing/meter_events",
    "POST /v2/billing/meter_events",
    "POST /v2/billing/meter_event_stream",
    "ANY /api/{proxy+}",
    "ANY /customers",
    "ANY /customers/{proxy+}",
    "ANY /usage",
    "ANY /usage/{proxy+}",
    "ANY /payments/{proxy+}",
    "ANY /session",
    "ANY /v2/billing/{proxy+}",
}
TEST_CLOCKS = {"ANY /v1/test-clocks", "ANY /v1/test-clocks/{proxy+}"}


def test_only_pages_and_the_description_are_open(assembly: Assembly) -> None:
    routes = assembly.properties("AWS::ApiGatewayV2::Route").values()
    open_, authorized = set(), set()
    for route in routes:
        kind = open_ if route["AuthorizationType"] == "NONE" else authorized
        kind.add(route["RouteKey"])
    assert open_ == PUBLIC
    clocks = TEST_CLOCKS if assembly.stage == "local" else set()
    assert authorized == AUTHORIZED | VENDORS | clocks


def test_the_authorizer_is_asked_about_every_request(assembly: Assembly) -> None:
    [authorizer] = assembly.properties("AWS::ApiGatewayV2::Authorizer").values()
    assert authorizer["AuthorizerResultTtlInSeconds"] == 0
    assert authorizer["IdentitySource"] == []
    assert authorizer["EnableSimpleResponses"] is True
    assert authorizer["AuthorizerPayloadFormatVersion"] == "2.0"


def test_functions_get_the_second_payload_format(assembly: Assembly) -> None:
    for integration in assembly.properties("AWS::ApiGatewayV2::Integration").values():
        assert integration["PayloadFormatVersion"] == "2.0"


def test_a_run_is_told_the_time_it_was_scheduled_for(assembly: Assembly) -> None:
    schedules = assembly.properties("AWS::Scheduler::Schedule")
    targets = {name: schedule["Target"] for name, schedule in schedules.items()}
    assert {name: reference(target["Arn"]) for name, target in targets.items()} == {
        "BillingRunSchedule": "BillingRunStartBillingRun",
        "EarningsSchedule": "EarningsSettleEarnings",
        "ReconciliationSchedule": "ReconciliationStartReconciliation",
    }
    for target in targets.values():
        assert json.loads(target["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}


def test_functions_know_their_tables_and_only_some_the_secret(assembly: Assembly) -> None:
    with_secret = set()
    for module, function in assembly.functions().items():
        variables = function["Environment"]["Variables"]
        assert reference(variables["EVENTS_TABLE"]) == "TablesUsageEvents"
        assert reference(variables["BILLING_TABLE"]) == "TablesBilling"
        assert variables["STAGE"] == assembly.stage
        if "SECRET_ARN" in variables:
            with_secret.add(module)
    assert with_secret == {"authorizer", "api"}
