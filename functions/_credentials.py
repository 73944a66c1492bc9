"""What tells callers apart and holds them back: keys, limits, tokens, and cursors given out."""

from functools import cached_property
from typing import TYPE_CHECKING

from functions._aws import Aws

if TYPE_CHECKING:
    from shared.adapters.secrets import SecretKeys
    from shared.services.api_keys import ApiKeys
    from shared.services.cursors import Cursors
    from shared.services.portal_tokens import PortalTokens, SessionTokens
    from shared.services.rate_limiting import RateLimiter


class Credentials(Aws):
    """What is signed or hashed with the stage's own secret, and what keys may do."""

    @cached_property
    def secret_keys(self) -> "SecretKeys":
        from shared.adapters.secrets import SecretKeys

        return SecretKeys(self._client("secretsmanager"), self.settings.secret_arn)

    @cached_property
    def api_keys(self) -> "ApiKeys":
        from shared.adapters.dynamodb.api_keys import DynamoApiKeyStore
        from shared.services.api_keys import ApiKeys

        store = DynamoApiKeyStore(self.dynamodb, self.settings.billing_table)
        hash_key = self.secret_keys.key("api-keys")
        return ApiKeys(store, hash_key, self.settings.stage, self.clock)

    @cached_property
    def rate_limiter(self) -> "RateLimiter":
        from shared.adapters.dynamodb.request_counters import DynamoRequestCounters
        from shared.services.rate_limiting import RateLimiter

        counters = DynamoRequestCounters(self.dynamodb, self.settings.billing_table)
        return RateLimiter(counters, self.clock)

    @cached_property
    def portal_tokens(self) -> "PortalTokens":
        from shared.services.portal_tokens import PortalTokens

        return PortalTokens(self.secret_keys.key("portal-tokens"), self.clock)

    @cached_property
    def session_tokens(self) -> "SessionTokens":
        from shared.services.portal_tokens import SessionTokens

        return SessionTokens(self.secret_keys.key("session-tokens"), self.clock)

    @cached_property
    def cursors(self) -> "Cursors":
        from shared.services.cursors import Cursors

        return Cursors(self.secret_keys.key("cursors"))
