"""Exact sums: rounding, shares of periods. Fractions throughout."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

NANO = 10**9
MINOR = {"USD": 2, "JPY": 0, "BHD": 3}
CHECKSUM_MODULUS = 2**64


def half_away(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    size = abs(value)
    whole = size.numerator // size.denominator
    whole += 2 * (size - whole) >= 1
    return whole if value >= 0 else -whole


def to_minor(nanos: int, currency: str) -> int:
    """Nanos rounded to the currency's minor unit, in nanos."""
    step = 10 ** (9 - MINOR[currency])
    return half_away(Fraction(nanos, step)) * step


def money_text(nanos: int, currency: str) -> str:
    """A minor-unit amount as an invoice shows it."""
    places = MINOR[currency]
    return f"{Decimal(nanos).scaleb(-9):.{places}f}"


def plain_text(value: Fraction | Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    exact = value if isinstance(value, Decimal) else _decimal(value)
    text = f"{exact:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _decimal(value: Fraction) -> Decimal:
    scaled = value * 10**12
    if scaled.denominator != 1:
        raise ValueError("more than twelve places")
    sign = "-" if scaled < 0 else ""
    digits = str(abs(scaled.numerator)).rjust(13, "0")
    return Decimal(f"{sign}{digits[:-12]}.{digits[-12:]}")


def calendar_start(interval: str, instant: datetime, timezone: str) -> datetime:
    """The start of the local day, week or month that holds the instant."""
    zone = ZoneInfo(timezone)
    local = instant.astimezone(zone).replace(tzinfo=None)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == "week":
        midnight -= timedelta(days=midnight.weekday())
    if interval == "month":
        midnight = midnight.replace(day=1)
    return midnight.replace(tzinfo=zone).astimezone(UTC)


def calendar_end(interval: str, instant: datetime, timezone: str) -> datetime:
    """The start of the local day, week or month after the one that holds the instant."""
    start = calendar_start(interval, instant, timezone)
    beyond = {"day": 26, "week": 8 * 24, "month": 32 * 24}[interval]
    return calendar_start(interval, start + timedelta(hours=beyond), timezone)


def days_after(instant: datetime, days: int, timezone: str) -> datetime:
    """The same local wall time so many days later, or the first after it that clocks show."""
    zone = ZoneInfo(timezone)
    wall = instant.astimezone(zone).replace(tzinfo=None) + timedelta(days=days)
    later = wall.replace(tzinfo=zone, fold=instant.astimezone(zone).fold).astimezone(UTC)
    shown = later.astimezone(zone).replace(tzinfo=None)
    if shown == wall.replace(fold=shown.fold):
        return later
    return _jump(later - (shown - wall), later, zone)


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second between the two at which clocks jump."""
    offset = before.astimezone(zone).utcoffset()
    first, last = int(before.timestamp()), int(after.timestamp())
    while last - first > 1:
        middle = (first + last) // 2
        same = datetime.fromtimestamp(middle, zone).utcoffset() == offset
        first, last = (middle, last) if same else (first, middle)
    return datetime.fromtimestamp(last, UTC)


def share(nanos: int, start: datetime, end: datetime, whole_start: datetime) -> int:
    """The part of an amount for [whole_start, end) that falls to [start, end), by the second."""
    whole = int((end - whole_start).total_seconds())
    part = int((end - start).total_seconds())
    return half_away(Fraction(nanos * part, whole)) if whole else 0
