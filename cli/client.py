"""The HTTP client of the command line: one address, one key, refusals told in words."""

import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    import urllib3

GZIP_FROM_BYTES = 1024
# A parameter that is None is left out; one with several values is repeated.
Query = Mapping[str, str | Sequence[str] | None]


class ClientError(Exception):
    """What a command cannot do, in words for its user; the process ends with `exit_status`."""

    exit_status: ClassVar[int] = 1


class UsageError(ClientError):
    """The command was not told what it needs, or contradicting things."""

    exit_status: ClassVar[int] = 2


class UnreachableError(ClientError):
    """Nothing answers, or what answers is not Meterline."""

    exit_status: ClassVar[int] = 3


class ApiError(ClientError):
    """A refusal: the problem document's status, code, detail, pointers and events' outcomes."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code: str = problem.get("code", "")
        self.detail: str = problem.get("detail") or problem.get("message") or ""
        self.errors: list[Mapping[str, str]] = problem.get("errors") or []
        self.outcomes: list[str] = problem.get("outcomes") or []
        super().__init__(self._text())

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status == 429 or self.status >= 500

    def _text(self) -> str:
        head = ": ".join(filter(None, (f"{self.status} {self.code}".rstrip(), self.detail)))
        return "\n".join([head, *(f"  {e['pointer'] or '/'}  {e['code']}" for e in self.errors)])


class Client:
    """Calls the API. Safe to share between threads; keeps up to `connections` of them alive."""

    def __init__(self, url: str, api_key: str, connections: int = 1) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._pool = _pool(connections)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """METERLINE_URL and METERLINE_API_KEY, each else from the local stack's own file.

        Raises: UsageError when neither says it.
        """
        environment = os.environ if environment is None else environment
        stack = local_stack(environment)
        url = environment.get("METERLINE_URL") or stack.get("url")
        key = environment.get("METERLINE_API_KEY") or stack.get("admin_key")
        if not url or not key:
            raise UsageError(
                "where is the system? Say --url and --key, set METERLINE_URL and "
                "METERLINE_API_KEY, or start it here with `make up`"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UsageError("the API key has characters that no key has")
        return cls(url, key)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        exact: bool = False,
    ) -> Any:
        """The answer's JSON. `body` is anything JSON can hold, or bytes that are JSON already.

        With `exact`, numbers with a point are decimals that lose no digit.

        Raises: ApiError for a refusal, UnreachableError when nothing answers.
        """
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        sent = {**self._headers, **(headers or {})}
        content = None if body is None else _encode(body, sent)
        url = self.url + path + _query_text(query or {})
        try:
            answer = self._pool.request(method, url, body=content, headers=sent)
        except HTTPError as error:
            raise UnreachableError(f"{self.url} does not answer: {_reason(error)}") from error
        document = _decode(answer.data, Decimal if exact else float)
        if answer.status >= 400:
            raise ApiError(answer.status, document or {})
        if document is None and answer.data.strip() not in (b"", b"null"):
            raise UnreachableError(f"what answers at {self.url} is not Meterline")
        return document

    def pages(self, path: str, query: Query | None = None, *, exact: bool = False) -> Iterator[Any]:
        """Every item of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.call("GET", path, query={**(query or {}), "cursor": cursor}, exact=exact)
            yield from page["data"]
            cursor = page.get("next_cursor")
            if not cursor:
                return


def local_stack(environment: Mapping[str, str]) -> Mapping[str, str]:
    """What the local stack says of itself; nothing if none runs from this directory."""
    path = Path(environment.get("METERLINE_LOCAL_DIR", ".local")) / "stack.json"
    try:
        stack: Mapping[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ClientError(f"{path} is not readable") from error
    return stack


def exit_status(error: ClientError) -> int:
    """1: refused; 2: misused; 3: not reachable, or not able to answer now."""
    if isinstance(error, ApiError) and error.is_passing:
        return UnreachableError.exit_status
    return error.exit_status


def path(template: str, **parts: str) -> str:
    """A path with its parts percent-encoded: path("/v1/customers/{key}", key="a/b")."""
    return template.format_map({name: quote(part, safe="") for name, part in parts.items()})


def _encode(body: object, headers: dict[str, str]) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    if len(content) >= GZIP_FROM_BYTES:
        headers["Content-Encoding"] = "gzip"
        return gzip.compress(content, compresslevel=5)
    return content


def _query_text(query: Query) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _decode(data: bytes, number: Callable[[str], object]) -> Any:
    """The JSON object that every answer is; None for anything else."""
    try:
        document = json.loads(data, parse_float=number)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _pool(connections: int) -> "urllib3.PoolManager":
    """Whatever is sent twice has the same effect once, so every request may be repeated: events by
    their identity, PUT by nature, money writes by their Idempotency-Key.

    Retry-After is honoured, up to a minute.
    """
    # Imported here: it opens a socket as it is imported, and `meterline verify` opens none.
    import urllib3  # noqa: PLC0415

    retries = urllib3.Retry(
        total=5,
        connect=3,
        allowed_methods=None,
        status_forcelist=(429, 502, 503, 504),
        backoff_factor=0.2,
        backoff_jitter=0.2,
        retry_after_max=60,
        raise_on_status=False,
    )
    timeout = urllib3.Timeout(connect=5, read=60)
    return urllib3.PoolManager(maxsize=connections, block=True, retries=retries, timeout=timeout)


def _reason(error: "urllib3.exceptions.HTTPError") -> str:
    """What went wrong, without the names of the classes that it went through."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2]
