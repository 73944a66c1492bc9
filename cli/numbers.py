"""Numbers and spans of time as options have them."""

import argparse
import re
from datetime import timedelta

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST = timedelta(days=400)  # The API lists at most as much at once.


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def duration(text: str) -> timedelta:
    """A span of time: 90s, 15m, 24h or 7d."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    span = timedelta(seconds=int(found[1]) * SECONDS[found[2]]) if found else None
    if span is None or span >= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no span such as 90s, 15m, 24h or 7d")
    return span
