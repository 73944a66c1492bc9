"""A span processor that meters chosen spans (needs opentelemetry-sdk: the extra `otel`)."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from meterline_client._client import Client
from meterline_client._event import Value
from meterline_client.errors import MeterlineError

logger = logging.getLogger("meterline_client")


class UsageSpanProcessor(SpanProcessor):
    """Turns each ended span that carries the customer's key into a usage event.

    The event's id is the span's own, so a span that is handed over twice counts once; its time is
    the span's end. `attributes` says which attribute becomes which property; the event's data also
    have `duration_seconds`. Only spans that `chosen` likes are metered; without it, all that have
    the customer's attribute. What sampling leaves out is not seen here, and so not metered.
    """

    def __init__(
        self,
        client: Client,
        type: str,
        attributes: Mapping[str, str],
        *,
        customer_attribute: str = "meterline.customer",
        chosen: Callable[[ReadableSpan], bool] | None = None,
    ) -> None:
        # Spans end in whichever thread, which cannot wait for an AsyncClient.
        if not isinstance(client, Client):
            raise TypeError("spans are metered by a Client")
        self._client = client
        self._type = type
        self._attributes = attributes
        self._customer_attribute = customer_attribute
        self._chosen = chosen

    def on_end(self, span: ReadableSpan) -> None:
        """Meters the span; the application never sees what goes wrong with it, the log does."""
        attributes = span.attributes or {}
        customer = attributes.get(self._customer_attribute)
        if not isinstance(customer, str) or (self._chosen and not self._chosen(span)):
            return
        context, start, end = span.get_span_context(), span.start_time, span.end_time
        if context is None or start is None or end is None:
            return
        data: dict[str, Value] = {
            name: value
            for attribute, name in self._attributes.items()
            if isinstance(value := attributes.get(attribute), str | bool | int | float)
        }
        data["duration_seconds"] = f"{(end - start) / 1e9:.6f}"
        try:
            self._client.meter(
                self._type,
                customer,
                data,
                id=f"{context.trace_id:032x}-{context.span_id:016x}",
                time=datetime.fromtimestamp(end / 1e9, UTC),
            )
        except (MeterlineError, TypeError, ValueError):
            logger.exception("a span of customer %s was not metered", customer)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what waits; whether it was all decided in time."""
        return self._client.flush(timeout_millis / 1000)
