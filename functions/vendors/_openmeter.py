"""How OpenMeter's requests are read, and how it refuses."""

from functions._body import read_json
from functions._http import Answer, Dialect, problem
from functions.vendors._reading import folded_query
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


DIALECT = Dialect(
    read_query=folded_query,
    read_body=lambda request, kinds: read_json(request.headers, request.body, kinds),
    refuse=refuse,
)
