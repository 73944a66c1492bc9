"""Portal sessions on the wire."""

from typing import Annotated

from pydantic import Field

from shared.wire.common import CustomerKey, Time, WireModel

DAY_SECONDS = 86_400


class PortalSessionBody(WireModel):
    """A session for one customer; a minute to a day long."""

    customer: CustomerKey
    ttl_seconds: Annotated[int, Field(ge=60, le=DAY_SECONDS)] = 3600


class PortalSession(WireModel):
    """A signed-in link to the portal, and its token."""

    url: str
    token: str
    expires_at: Time
