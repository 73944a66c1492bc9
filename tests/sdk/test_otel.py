"""Spans that become usage events, through the real OpenTelemetry SDK."""

import re
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from meterline_client import AsyncClient
from meterline_client.otel import UsageSpanProcessor
from tests.sdk.test_client import Gate, client_at
from tests.sdk.test_metered import events

TOKENS = {"gen_ai.usage.input_tokens": "input_tokens", "gen_ai.request.model": "model"}


def test_a_span_with_a_customer_is_metered_once_under_its_own_id() -> None:
    gate, ended = Gate(), list[ReadableSpan]()
    with client_at(gate) as client:
        processor = UsageSpanProcessor(client, "model.completion", TOKENS)
        provider = TracerProvider()
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("meterline.customer", "acme")
            span.set_attribute("gen_ai.usage.input_tokens", 120)
            span.set_attribute("gen_ai.request.model", "large")
            span.set_attribute("secret", "hush")
        with tracer.start_as_current_span("elsewhere"):
            pass
        assert isinstance(span, ReadableSpan)
        ended.append(span)
        processor.on_end(span)
        assert provider.force_flush(5000)
    first, again = events(gate)
    assert first == again
    assert re.fullmatch(r"[0-9a-f]{32}-[0-9a-f]{16}", first["id"])
    assert first["subject"] == "acme"
    assert ended[0].end_time
    seconds = Decimal(first["data"].pop("duration_seconds"))
    assert 0 <= seconds < 10
    assert first["data"] == {"input_tokens": 120, "model": "large"}


def test_spans_can_be_chosen() -> None:
    gate = Gate()
    with client_at(gate) as client:
        processor = UsageSpanProcessor(
            client,
            "call",
            {},
            customer_attribute="tenant",
            chosen=lambda span: span.name == "chargeable",
        )
        provider = TracerProvider()
        provider.add_span_processor(processor)
        for name in ("chargeable", "free"):
            with provider.get_tracer("test").start_as_current_span(name) as span:
                span.set_attribute("tenant", name)
    assert [event["subject"] for event in events(gate)] == ["chargeable"]


def test_what_goes_wrong_is_logged_and_the_application_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with client_at(Gate()) as client:
        processor = UsageSpanProcessor(client, "call", {})
    provider = TracerProvider()
    provider.add_span_processor(processor)
    with provider.get_tracer("test").start_as_current_span("chat") as span:
        span.set_attribute("meterline.customer", "acme")
    assert "was not metered" in caplog.text


def test_an_asynchronous_client_is_refused_rather_than_never_awaited() -> None:
    client: Any = AsyncClient("http://stub", "ml_key", source="test")
    with pytest.raises(TypeError):
        UsageSpanProcessor(client, "span", {})
