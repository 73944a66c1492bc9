"""The console's headcounts: the pages of an answer are added up, segments are not."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_headcounts_of_all_pages_are_added_up() -> None:
    page = ROOT / "web" / "headcount.js"
    script = Path(__file__).with_name("headcount_page.mjs")
    node = subprocess.run(
        ["node", str(script), str(page)], capture_output=True, text=True, check=True, timeout=60
    )
    drawn = json.loads(node.stdout)
    by_plan, by_segment = drawn["shown"]["plan"], drawn["shown"]["segment"]
    rows = ["free|1,100|5|0|3", "pro|7|3|2|0"]
    assert by_plan["rows"][-2:] == rows
    assert "Customers|1,107|at its end|New|8|in the time|Converted|2|" in by_plan["cards"]
    assert by_segment["rows"][-2:] == rows
    assert by_segment["cards"] == "", "a customer is in several segments"
    assert [(q["group_by"], q.get("cursor")) for q in drawn["asked"]] == [
        ("plan", None),
        ("plan", "more"),
        ("segment", None),
        ("segment", "more"),
    ]
