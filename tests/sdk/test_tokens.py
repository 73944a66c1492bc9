"""Token usage from responses, through the real openai package and its types."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from openai.types import CompletionUsage, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.completion_usage import PromptTokensDetails
from openai.types.responses import Response

from meterline_client import TokenMeter
from meterline_client._tokens import token_usage
from tests.sdk.test_async_client import AsyncGate
from tests.sdk.test_async_client import client_at as async_client_at
from tests.sdk.test_client import Gate, client_at
from tests.sdk.test_metered import events

EXPECTED = {
    "model": "large",
    "response_id": "chatcmpl-1",
    "tokens": 120,
    "input_tokens": 100,
    "cached_input_tokens": 64,
    "uncached_input_tokens": 36,
    "output_tokens": 20,
}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64},
}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "large"}
COMPLETION = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
    "usage": USAGE,
}
DELTA = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
CHUNK = {**HEAD, "object": "chat.completion.chunk", "usage": None, "choices": [DELTA]}
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def model_server(seen: list[dict[str, Any]]) -> Any:
    """Answers chats; with a stream the usage comes last, if it is asked for."""

    def handler(request: Any) -> dict[str, Any]:
        body = json.loads(request.content)
        seen.append(body)
        if not body.get("stream"):
            return {"json": COMPLETION}
        chunks = [CHUNK, CHUNK]
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append({**CHUNK, "choices": [], "usage": USAGE})
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        return {"text": text, "headers": {"content-type": "text/event-stream"}}

    return handler


def openai_at(seen: list[dict[str, Any]], kind: Any) -> Any:
    """openai's own client, its requests answered here by whichever httpx it is made with."""
    library = httpx_of_openai()
    handler = model_server(seen)
    transport = library.MockTransport(lambda request: library.Response(200, **handler(request)))
    http = library.AsyncClient if kind is openai.AsyncOpenAI else library.Client
    return kind(api_key="k", http_client=http(transport=transport))


def httpx_of_openai() -> Any:
    name = openai.DefaultHttpxClient.__mro__[2].__module__.partition(".")[0]
    return httpx if name == "httpx" else __import__(name)


def test_chats_are_metered() -> None:
    gate, seen = Gate(), list[dict[str, Any]]()
    with client_at(gate) as client:
        chat = openai_at(seen, openai.OpenAI).chat.completions
        create = TokenMeter(client).wrap(chat.create)
        answer = create(customer="acme", model="large", messages=MESSAGES)
        assert answer.choices[0].message.content == "Hi"
    [event] = events(gate)
    assert (event["type"], event["subject"], event["data"]) == (
        "model.completion",
        "acme",
        EXPECTED,
    )
    assert "customer" not in seen[0]


def test_streams_are_metered_at_their_end() -> None:
    gate, seen = Gate(), list[dict[str, Any]]()
    with client_at(gate) as client:
        chat = openai_at(seen, openai.OpenAI).chat.completions
        create = TokenMeter(client, "chat").wrap(chat.create)
        stream = create(customer="acme", model="large", messages=MESSAGES, stream=True)
        assert len(list(stream)) == 3
    [event] = events(gate)
    assert (event["type"], event["data"]) == ("chat", EXPECTED)
    assert seen[0]["stream_options"] == {"include_usage": True}


def test_asynchronous_chats_and_streams() -> None:
    gate = Gate()

    async def play(create: Any) -> None:
        await create(customer="acme", model="large", messages=MESSAGES)
        stream = await create(customer="acme", model="large", messages=MESSAGES, stream=True)
        assert len([chunk async for chunk in stream]) == 3

    with client_at(gate) as client:
        chat = openai_at([], openai.AsyncOpenAI).chat.completions
        asyncio.run(play(TokenMeter(client).wrap(chat.create)))
    assert [event["data"] for event in events(gate)] == [EXPECTED, EXPECTED]


def test_an_asynchronous_client_meters_asynchronous_chats(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = AsyncGate()

    async def play() -> None:
        async with async_client_at(gate) as client:
            meter = TokenMeter(client)
            create = meter.wrap(openai_at([], openai.AsyncOpenAI).chat.completions.create)
            await create(customer="acme", model="large", messages=MESSAGES)
            stream = await create(customer="acme", model="large", messages=MESSAGES, stream=True)
            assert len([chunk async for chunk in stream]) == 3
            assert await meter.record_async(COMPLETION, "acme") is not None
            with pytest.raises(TypeError):
                meter.record(COMPLETION, "acme")
            plain = meter.wrap(lambda **_: COMPLETION)
            assert plain(customer="acme") is COMPLETION
            await client.flush(5)

    asyncio.run(play())
    assert [event["data"] for event in events(gate)] == [EXPECTED] * 3
    assert [record.message for record in caplog.records] == [
        "a response for customer acme was not metered"
    ], "a plain function's answer cannot wait for the client, and that is told"


def test_a_stream_that_is_left_early_is_not_silent(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with client_at(gate) as client:
        chat = openai_at([], openai.OpenAI).chat.completions
        create = TokenMeter(client).wrap(chat.create)
        stream = create(customer="acme", model="large", messages=MESSAGES, stream=True)
        next(stream)
        stream.close()
    assert events(gate) == []
    assert "tells no usage" in caplog.text


def test_metering_does_not_take_the_response_away(caplog: pytest.LogCaptureFixture) -> None:
    with client_at(Gate()) as client:
        chat = openai_at([], openai.OpenAI).chat.completions
        create = TokenMeter(client).wrap(chat.create)
    assert create(customer="acme", model="large", messages=MESSAGES).usage.total_tokens == 120
    assert "was not metered" in caplog.text


@pytest.mark.parametrize("odd", [{"id": object()}, {"model": {"name": "large"}, "id": b"1"}])
def test_nor_does_a_response_of_odd_members(
    caplog: pytest.LogCaptureFixture, odd: dict[str, Any]
) -> None:
    response = {"usage": {"prompt_tokens": 1}, **odd}
    with client_at(Gate()) as client:
        create = TokenMeter(client).wrap(lambda **_: response)
        assert create(customer="acme") is response
    assert "was not metered" in caplog.text


def test_every_shape_of_usage() -> None:
    details = PromptTokensDetails(cached_tokens=64)
    usage = CompletionUsage(
        prompt_tokens=100, completion_tokens=20, total_tokens=120, prompt_tokens_details=details
    )
    completion = ChatCompletion.model_validate({**COMPLETION, "usage": usage})
    assert token_usage(completion) == token_usage(COMPLETION) == EXPECTED
    response = Response.model_validate(
        {
            "id": "chatcmpl-1",
            "created_at": 1,
            "model": "large",
            "object": "response",
            "output": [],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 0},
                "output_tokens": 20,
                "output_tokens_details": {"reasoning_tokens": 5},
                "total_tokens": 120,
            },
        }
    )
    assert token_usage(response) == EXPECTED
    assert token_usage({"type": "response.completed", "response": response}) == EXPECTED
    embedding = CreateEmbeddingResponse.model_validate(
        {
            "data": [],
            "model": "small",
            "object": "list",
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    )
    found = token_usage(embedding)
    assert found is not None
    assert (found["tokens"], found["output_tokens"], found["uncached_input_tokens"]) == (8, 0, 8)
    assert token_usage(CHUNK) is None
    assert token_usage(None) is None
