"""Token usage of language models, metered from responses of OpenAI's shape.

Nothing is imported from openai: whatever has the same members will do, objects or dicts, of Chat
Completions and of the Responses API.
"""

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from meterline_client._async_client import AsyncClient
from meterline_client._client import Client
from meterline_client._event import Value

logger = logging.getLogger("meterline_client")

NOT_METERED = "a response for customer %s was not metered"


class TokenMeter:
    """Sends one event a response: its model and its tokens.

    The data are `model`, `response_id`, `tokens` (all), `input_tokens`, `cached_input_tokens` (the
    part of the input that was read from a cache), `uncached_input_tokens` and `output_tokens`. An
    AsyncClient meters async functions, and what is awaited with `record_async`.
    """

    def __init__(self, client: Client | AsyncClient, type: str = "model.completion") -> None:
        self._client = client
        self._type = type

    def record(self, response: Any, customer: str, **data: Value) -> str | None:
        """Meters a response; returns the event's id, or None (and logs) where it tells no usage.

        Raises: TypeError with an AsyncClient, and what `Client.meter` does.
        """
        if isinstance(self._client, AsyncClient):
            raise TypeError("with an AsyncClient, await record_async")
        found = _usage_or_log(response, customer)
        if found is None:
            return None
        return self._client.meter(self._type, customer, {**data, **found})

    async def record_async(self, response: Any, customer: str, **data: Value) -> str | None:
        """`record`, with either client."""
        if not isinstance(self._client, AsyncClient):
            return self.record(response, customer, **data)
        found = _usage_or_log(response, customer)
        if found is None:
            return None
        return await self._client.meter(self._type, customer, {**data, **found})

    def wrap(self, create: Callable[..., Any]) -> Callable[..., Any]:
        """A function such as `client.chat.completions.create`, plain or async, that is metered.

        It takes `customer`, and hands on everything else. A stream is metered at its end, from the
        chunk that tells the usage; Chat Completions are asked to send it. What a stream that is
        left early would have told is not known, and logged as such.
        """

        @functools.wraps(create)
        def call(*args: Any, customer: str, **kwargs: Any) -> Any:
            streamed = bool(kwargs.get("stream"))
            response = create(*args, **_asking_for_usage(kwargs))
            if inspect.isawaitable(response):
                return self._later(response, customer, streamed)
            return self._metered(response, customer, streamed)

        return call

    async def _later(self, response: Awaitable[Any], customer: str, streamed: bool) -> Any:
        answer = await response
        if streamed:
            return self._following(answer, customer)
        await self._record_async_safely(answer, customer)
        return answer

    def _metered(self, response: Any, customer: str, streamed: bool) -> Any:
        if not streamed:
            self._record_safely(response, customer)
            return response
        return self._following(response, customer)

    def _following(self, chunks: Any, customer: str) -> Any:
        follow = self._astream if hasattr(chunks, "__aiter__") else self._stream
        return follow(chunks, customer)

    def _stream(self, chunks: Any, customer: str) -> Iterator[Any]:
        last = None
        try:
            for chunk in chunks:
                last = chunk if token_usage(chunk) else last
                yield chunk
        finally:
            self._record_safely(last, customer)

    async def _astream(self, chunks: Any, customer: str) -> AsyncIterator[Any]:
        last = None
        try:
            async for chunk in chunks:
                last = chunk if token_usage(chunk) else last
                yield chunk
        finally:
            await self._record_async_safely(last, customer)

    def _record_safely(self, response: Any, customer: str) -> None:
        """What goes wrong with metering does not take the response from who asked for it."""
        try:
            self.record(response, customer)
        except Exception:
            logger.exception(NOT_METERED, customer)

    async def _record_async_safely(self, response: Any, customer: str) -> None:
        try:
            await self.record_async(response, customer)
        except Exception:
            logger.exception(NOT_METERED, customer)


def _usage_or_log(response: Any, customer: str) -> dict[str, Value] | None:
    found = token_usage(response)
    if found is None:
        logger.error("a response for customer %s tells no usage", customer)
    return found


def token_usage(response: Any) -> dict[str, Value] | None:
    """The model and the tokens that a response, or the chunk of a stream, tells; None without."""
    # The Responses API's last event carries the response.
    response = _member(response, "response") or response
    usage = _member(response, "usage")
    if usage is None:
        return None
    taken = _first(usage, "prompt_tokens", "input_tokens")
    made = _first(usage, "completion_tokens", "output_tokens")
    details = _first(usage, "prompt_tokens_details", "input_tokens_details")
    if not isinstance(taken, int):
        return None
    output = made if isinstance(made, int) else 0  # Embeddings have none.
    cached = _member(details, "cached_tokens")
    cached = cached if isinstance(cached, int) else 0
    return {
        "model": _member(response, "model"),
        "response_id": _member(response, "id"),
        "tokens": taken + output,
        "input_tokens": taken,
        "cached_input_tokens": cached,
        "uncached_input_tokens": taken - cached,
        "output_tokens": output,
    }


def _asking_for_usage(arguments: dict[str, Any]) -> dict[str, Any]:
    """A streamed chat tells its usage only when it is asked to."""
    if not arguments.get("stream") or "messages" not in arguments:
        return arguments
    options = {**(arguments.get("stream_options") or {}), "include_usage": True}
    return {**arguments, "stream_options": options}


def _member(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _first(holder: Any, *names: str) -> Any:
    found = (_member(holder, name) for name in names)
    return next((value for value in found if value is not None), None)
