"""The HTTP layer: a table of routes, strict requests, and problem+json for every refusal."""

import base64
import binascii
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel

from functions._body import read_json
from functions._preconditions import entity_tag, require_match
from functions._rate_limits import admit
from functions._statuses import MethodNotAllowedError, retry_after, status_of
from functions._validation import distinct, idempotency_key, validate, validate_query
from shared.domain.errors import (
    ForbiddenError,
    MalformedError,
    MeterlineError,
    NotFoundError,
    UnauthenticatedError,
)

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
# No key of ours is longer, and a longer one would not fit a storage key.
MAX_SEGMENT_BYTES = 1024

logger = logging.getLogger("meterline")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as API Gateway passed it on, its caller already resolved by the authorizer.

    `principal` is the id of the caller's key, empty for anonymous callers. `portal_customer` is
    the one customer that a portal token may see, empty for API keys. `rate_limit` is how many
    requests per minute the caller's key may send, 0 without a limit. `instance` names the request
    in problem details and logs.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)
    principal: str = ""
    scopes: frozenset[str] = frozenset()
    portal_customer: str = ""
    rate_limit: int = 0
    instance: str = ""

    def require_customer(self, customer: str) -> None:
        """Hide from a portal token everything that is not its own customer's.

        Raises: NotFoundError.
        """
        if self.portal_customer not in ("", customer):
            raise NotFoundError("No such resource.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns when a bare model does not say it all."""

    body: BaseModel | str | bytes | None = None
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the requests of a route are read, and what its refusals look like.

    `read_query` makes a mapping of the query's pairs, `read_body` a plain value of the request's
    body in one of the content types; both are then validated by the route's models. Where several
    dialects share a path, `spoken` tells by a request that is refused which of them it is in.
    """

    read_query: Callable[[Sequence[tuple[str, str]]], Mapping[str, object]]
    read_body: Callable[[Request, Sequence[str]], object]
    refuse: Callable[[MeterlineError, str], Answer]
    spoken: "Callable[[Request], Dialect] | None" = None


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table: what is accepted, who may call, what comes back.

    `body`, `query` and `answer` are pydantic models (`body` may be any type that pydantic
    validates). With `portal` a portal token may call a `read` route that does not name a customer;
    its handler then calls `Request.require_customer`. A `money` write is refused without an
    Idempotency-Key. `alternatives` are media types that `Accept` may ask for instead, `refusals`
    JSON schemas of what problems have beyond the standard members, by status. `read_query` is for
    query parameters that may be repeated. A `tagged` GET answers with an `ETag`, and a `tagged` PUT
    keeps `If-Match`. Without a `dialect` it is spoken to as the API's own description says.
    """

    method: str
    path: str
    call: Callable[..., Any]
    scope: str | None
    summary: str
    body: Any = None
    query: type[BaseModel] | None = None
    answer: Any = None
    status: int = 200
    content_type: str = JSON
    content_types: tuple[str, ...] = (JSON,)
    portal: bool = False
    money: bool = False
    tagged: bool = False
    alternatives: tuple[str, ...] = ()
    refusals: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    dialect: Dialect | None = None
    read_query: Callable[[Sequence[tuple[str, str]]], Mapping[str, object]] | None = None

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The path parameters if the path fits."""
        pattern = self.path.strip("/").split("/")
        if len(pattern) != len(segments):
            return None
        parameters = {}
        for expected, actual in zip(pattern, segments, strict=True):
            if expected.startswith("{"):
                parameters[expected[1:-1]] = actual
            elif expected != actual:
                return None
        return parameters


Handler = Callable[..., BaseModel | Answer]


class Router:
    """A table of routes, and the one way in which each is served."""

    def __init__(self, parts: Iterable["Router"] = ()) -> None:
        self.routes: list[Route] = [route for part in parts for route in part.routes]

    def route(
        self, method: str, path: str, *, scope: str | None, summary: str, **more: Any
    ) -> Callable[[Handler], Handler]:
        """Enter the decorated function into the table; `more` are the fields of `Route`.

        It is called with (request, runtime) and, where the row declares them, `body=` and
        `query=`, validated. It returns the answer's model, or an `Answer`.
        """

        def enter(call: Handler) -> Handler:
            self.routes.append(Route(method, path, call, scope, summary, **more))
            return call

        return enter

    def serve(self, event: Mapping[str, Any], runtime: Callable[[], Any]) -> dict[str, Any]:
        """Answer one API Gateway event (HTTP API, payload 2.0); never raises."""
        instance = _instance(event)
        dialect, request = OWN_DIALECT, None
        try:
            route, parameters = self._resolve(event)
            dialect = route.dialect or OWN_DIALECT
            request = parse_request(event, parameters)
            return _render(self._answer(request, route, runtime))
        except MeterlineError as error:
            refused = error
        except Exception:
            # What went wrong is for the log; the caller learns only where to look it up.
            logger.exception("unhandled error, %s", instance)
            refused = MeterlineError("Something failed on our side.")
        if request is not None and dialect.spoken is not None:
            dialect = dialect.spoken(request)
        return _render(dialect.refuse(refused, instance))

    def _answer(self, request: Request, route: Route, runtime: Callable[[], Any]) -> Answer:
        dialect = route.dialect or OWN_DIALECT
        authorize(request, route)
        if request.rate_limit:
            admit(request.principal, request.rate_limit, runtime().rate_limiter)
        if route.money:
            idempotency_key(request.headers)
        arguments: dict[str, Any] = {}
        read_query = route.read_query or dialect.read_query
        parameters = validate_query(read_query(request.query), route.query)
        if route.query is not None:
            arguments["query"] = parameters
            if "customer" in route.query.model_fields:
                # Left out it would mean every customer's: for a portal token there are no others.
                request.require_customer(parameters.customer or "")
        if route.body is not None:
            arguments["body"] = validate(
                route.body, dialect.read_body(request, route.content_types)
            )
        if route.method != "GET" and not route.tagged and route.dialect is None:
            require_match(request.headers, None)  # It has no ETag that could match.
        result = route.call(request, runtime(), **arguments)
        if isinstance(result, Answer):
            return result
        tags = {"ETag": entity_tag(result)} if route.tagged and route.method == "GET" else {}
        return Answer(result, route.status, route.content_type, tags)

    def _resolve(self, event: Mapping[str, Any]) -> tuple[Route, dict[str, str]]:
        method = event["requestContext"]["http"]["method"]
        segments = [unquote(part) for part in event["rawPath"].strip("/").split("/")]
        if any(part in (".", "..") or len(part.encode()) > MAX_SEGMENT_BYTES for part in segments):
            raise NotFoundError("No such path.")
        fitting = [(r, p) for r in self.routes if (p := r.match(segments)) is not None]
        # A literal segment goes before a parameter, whichever was entered first.
        fitting.sort(key=lambda pair: len(pair[1]))
        for route, parameters in fitting:
            if route.method == method:
                return route, parameters
        if fitting:
            raise MethodNotAllowedError("The path does not take this method.")
        raise NotFoundError("No such path.")


def _instance(event: Mapping[str, Any]) -> str:
    return f"urn:request:{event.get('requestContext', {}).get('requestId', '')}"


def parse_request(event: Mapping[str, Any], parameters: Mapping[str, str]) -> Request:
    """The request in an API Gateway event.

    Raises: MalformedError, InvalidError (a repeated query parameter).
    """
    context = event["requestContext"]
    caller = (context.get("authorizer") or {}).get("lambda") or {}
    query = parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)
    body = (event.get("body") or "").encode("utf-8", "surrogatepass")
    if event.get("isBase64Encoded"):
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise MalformedError("The body is not base64.") from error
    return Request(
        method=context["http"]["method"],
        path=event["rawPath"],
        query=tuple(query),
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=body,
        parameters=parameters,
        principal=caller.get("principal") or "",
        scopes=frozenset(filter(None, (caller.get("scopes") or "").split(","))),
        portal_customer=caller.get("customer") or "",
        rate_limit=int(caller.get("rate_limit") or 0),
        instance=_instance(event),
    )


def authorize(request: Request, route: Route) -> None:
    """Refuse a caller without the route's scope. `admin` holds every scope but `portal`.

    A portal token reads what is its own customer's; of another one there is nothing to see.
    Raises: UnauthenticatedError, ForbiddenError, NotFoundError.
    """
    if route.scope is None:
        return
    if not request.principal:
        raise UnauthenticatedError("A valid credential is required.")
    if request.portal_customer:
        named = request.parameters.get("customer")
        if named is not None:
            request.require_customer(named)
        asks = route.query is not None and "customer" in route.query.model_fields
        own = route.portal or (route.method == "GET" and (named or asks))
        if route.scope != "read" or not own:
            raise ForbiddenError("A portal token only reads what is its customer's.")
    elif not request.scopes & {route.scope, "admin"}:
        raise ForbiddenError(f"The credential lacks the scope {route.scope}.")


def problem(error: MeterlineError, instance: str, **members: Any) -> Answer:
    """The refusal as RFC 9457 problem details; nothing of the request's values is in it."""
    status = status_of(error)
    content = {
        "type": f"urn:meterline:problem:{error.code}",
        "title": status.phrase,
        "status": status.value,
        "code": error.code,
        "detail": error.detail,
        "instance": instance,
        "errors": [{"pointer": p.pointer, "code": p.code} for p in error.problems],
        **members,
    }
    challenge = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    headers = {**challenge, **retry_after(error)}
    return Answer(json.dumps(content), status.value, PROBLEM_JSON, headers)


OWN_DIALECT = Dialect(
    read_query=distinct,
    read_body=lambda request, kinds: read_json(request.headers, request.body, kinds),
    refuse=problem,
)


def _render(answer: Answer) -> dict[str, Any]:
    body, encoded = answer.body, False
    if isinstance(body, BaseModel):
        body = body.model_dump_json()
    elif isinstance(body, bytes):
        body, encoded = base64.b64encode(body).decode(), True
    headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store", **answer.headers}
    return {
        "statusCode": answer.status,
        "headers": headers,
        "body": body or "",
        "isBase64Encoded": encoded,
    }
