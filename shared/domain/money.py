"""Amounts are integers of nano-units (10^-9) of a currency's or credit unit's major unit.

Quantities are decimals with at most 9 places, so a sum of them is exact in nano-units as well.
Rounding is always half away from zero, and always in one of the functions here.
"""

from decimal import ROUND_HALF_UP, Context, Decimal

NANOS_PER_UNIT = 10**9
NANO_PLACES = 9

# Enough digits for the largest total (10^12 per event, 38 stored digits) times a 12-place price.
EXACT = Context(prec=80)

# ISO 4217 minor units of the currencies that invoices can be issued in.
_TWO_PLACES = (
    "AED AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR MXN MYR NOK NZD "
    "PHP PLN RON SAR SEK SGD THB TRY TWD UAH USD ZAR"
)
MINOR_PLACES = dict.fromkeys(_TWO_PLACES.split(" "), 2)
MINOR_PLACES |= dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "VND"), 0)
MINOR_PLACES |= dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)
# The largest amount that one fee or one grant may be, whatever the currency.
MAX_MINOR_UNITS = 99_999_999


def money_problem(unit: str, nanos: int) -> str | None:
    """Why nothing is sold or given for so much of the unit, where that is a currency; or None."""
    if not is_currency(unit):
        return None
    highest = Decimal(MAX_MINOR_UNITS).scaleb(-MINOR_PLACES[unit])
    return None if abs(from_nanos(nanos)) <= highest else "out-of-range"


def is_currency(unit: str) -> bool:
    """Whether the unit is a real currency, as opposed to a credit unit or a meter's quantity."""
    return unit in MINOR_PLACES


def to_nanos(value: Decimal) -> int:
    """The exact decimal rounded to the nano, half away from zero."""
    return int(EXACT.scaleb(value, NANO_PLACES).quantize(Decimal(1), ROUND_HALF_UP, EXACT))


def from_nanos(nanos: int) -> Decimal:
    """The exact decimal in major units."""
    return EXACT.scaleb(Decimal(nanos), -NANO_PLACES)


def round_to_minor(nanos: int, currency: str) -> int:
    """Nano-units rounded to the currency's minor unit, half away from zero, still in nanos."""
    step: int = 10 ** (NANO_PLACES - MINOR_PLACES[currency])
    return divide(nanos, step) * step


def mean(value: Decimal, count: int) -> Decimal:
    """The value divided by the count at 9 decimals, half away from zero; of nothing it is 0."""
    return from_nanos(divide(to_nanos(value), count)) if count > 0 else Decimal(0)


def divide(numerator: int, denominator: int) -> int:
    """The quotient by a positive integer rounded to an integer, half away from zero."""
    quotient, rest = divmod(abs(numerator), denominator)
    rounded = quotient + (2 * rest >= denominator)
    return rounded if numerator >= 0 else -rounded


def format_money(nanos: int, currency: str) -> str:
    """A minor-unit amount as text with the currency's places, e.g. "20.00" or "1500" for JPY."""
    minor_unit = Decimal(1).scaleb(-MINOR_PLACES[currency])
    return f"{from_nanos(nanos).quantize(minor_unit, ROUND_HALF_UP, EXACT):f}"


def format_exact(nanos: int) -> str:
    """An amount as text with no trailing zeros, e.g. "0.0035", "12", "0"."""
    return format_quantity(from_nanos(nanos))


def format_quantity(value: Decimal) -> str:
    """A decimal as plain text with no exponent and no trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def bounds_problem(value: Decimal, places: int, lowest: Decimal, highest: Decimal) -> str | None:
    """Why the decimal is not within [lowest, highest] with at most `places` decimals; or None."""
    if not lowest <= value <= highest:
        return "out-of-range"
    exponent = value.normalize(EXACT).as_tuple().exponent
    return "too-many-decimals" if isinstance(exponent, str) or -exponent > places else None
