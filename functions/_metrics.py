"""Counters in CloudWatch's embedded metric format: one log line, no client, no import cost."""

import json
import time
from collections.abc import Mapping

NAMESPACE = "Meterline"


def count(service: str, counters: Mapping[str, int]) -> None:
    """Log the counters that are not zero under the service's name."""
    counted = {name: value for name, value in counters.items() if value}
    if not counted:
        return
    metrics = [{"Name": name, "Unit": "Count"} for name in counted]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["service"]], "Metrics": metrics}
    metadata = {"Timestamp": time.time_ns() // 10**6, "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": metadata, "service": service, **counted}))
