"""The deployed mappings of DynamoDB streams, taken over from the emulator's own poller."""

from collections.abc import Mapping as Table
from typing import Any

from local.streams.filters import filter_records
from local.streams.model import Mapping


def tumbling_windows(template: Table[str, Any]) -> dict[str, int]:
    """Seconds of the tumbling window of each mapping in a template, by logical id."""
    return {
        logical_id: int(resource["Properties"].get("TumblingWindowInSeconds") or 0)
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    }


def stream_mappings(
    lambda_client: Any, resource_ids: Table[str, str], template: Table[str, Any]
) -> list[tuple[Mapping, str | None]]:
    """Each stream mapping with the ARN of its on-failure queue, its emulated poller disabled.

    `resource_ids` are the stack's physical ids by logical id. The Lambda API says everything but
    the tumbling window, which the emulator drops: the template says that.
    """
    windows = {
        resource_ids[logical_id]: seconds
        for logical_id, seconds in tumbling_windows(template).items()
    }
    found = []
    for page in lambda_client.get_paginator("list_event_source_mappings").paginate():
        for deployed in page["EventSourceMappings"]:
            if ":dynamodb:" not in deployed["EventSourceArn"]:
                continue
            if deployed["State"] != "Disabled":
                lambda_client.update_event_source_mapping(UUID=deployed["UUID"], Enabled=False)
            destination = deployed.get("DestinationConfig", {}).get("OnFailure", {})
            mapping = _mapping(deployed, windows[deployed["UUID"]])
            found.append((mapping, destination.get("Destination")))
    return found


def _mapping(deployed: dict[str, Any], tumbling_window_seconds: int) -> Mapping:
    if deployed.get("ParallelizationFactor", 1) != 1:
        raise ValueError("only ParallelizationFactor 1 keeps the order of a shard")
    filters = deployed.get("FilterCriteria", {}).get("Filters", [])
    return Mapping(
        function=deployed["FunctionArn"],
        stream_arn=deployed["EventSourceArn"],
        batch_size=deployed["BatchSize"],
        batching_window_seconds=deployed.get("MaximumBatchingWindowInSeconds", 0),
        tumbling_window_seconds=tumbling_window_seconds,
        matches=filter_records(each["Pattern"] for each in filters),
        reports_item_failures="ReportBatchItemFailures" in deployed["FunctionResponseTypes"],
        bisects=deployed.get("BisectBatchOnFunctionError", False),
        maximum_retries=deployed.get("MaximumRetryAttempts", -1),
        maximum_age_seconds=deployed.get("MaximumRecordAgeInSeconds", -1),
    )
