"""Keys for hashing and signing, derived from the one secret in Secrets Manager."""

import hashlib
import hmac
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretKeys:
    """One 32-byte key per purpose; the secret is read once and kept."""

    def __init__(self, client: "SecretsManagerClient", secret_arn: str) -> None:
        self._client = client
        self._secret_arn = secret_arn

    @cached_property
    def _secret(self) -> bytes:
        found = self._client.get_secret_value(SecretId=self._secret_arn)
        return found["SecretString"].encode()

    def key(self, purpose: str) -> bytes:
        """The key of a purpose; keys of different purposes say nothing about each other."""
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)
