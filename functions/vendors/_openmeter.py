"""How OpenMeter's requests are read, and how it refuses."""

from dataclasses import replace

from functions._http import OWN_DIALECT, Answer, problem
from shared.domain.errors import InvalidError, MalformedError, MeterlineError


class BadRequestError(MalformedError):
    """What breaks a rule is a bad request (400) there, as its clients expect."""

    code = "validation"


def refuse(error: MeterlineError, instance: str) -> Answer:
    """The refusal as problem details, which OpenMeter has as well; 400 for all that is invalid."""
    if isinstance(error, InvalidError):
        bad = BadRequestError(error.detail, error.problems)
        bad.code = error.code
        return problem(bad, instance)
    return problem(error, instance)


DIALECT = replace(OWN_DIALECT, refuse=refuse)
