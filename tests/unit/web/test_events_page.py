"""The console's list of a customer's events: what it shows, and what its buttons send."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_events_are_cancelled_and_corrected_as_typed() -> None:
    page = ROOT / "web" / "events.js"
    script = Path(__file__).with_name("events_page.mjs")
    node = subprocess.run(
        ["node", str(script), str(page)], capture_output=True, text=True, check=True, timeout=60
    )
    drawn = json.loads(node.stdout)
    assert 'web 2|{"load":3}|cancelled' in drawn["text"]
    assert 'web 1|{"load":3}|not counted (calls: no-value)' in drawn["text"]
    named = {"customer": 'a"da', "source": "web", "id": "1"}
    assert [(path, json.loads(body, parse_float=Decimal)) for path, body in drawn["sent"]] == [
        ("/v1/events/correction", {**named, "cancel": True}),
        ("/v1/events/correction", {**named, "data": {"load": Decimal("0.10000000000000000001")}}),
    ], "no button for what is cancelled, and no digit is lost"
