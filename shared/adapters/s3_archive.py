"""The archive's files in an S3 bucket."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError

from shared.domain.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3ArchiveFiles:
    """See ArchiveFiles."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client: Any = client
        self._bucket = bucket

    def put(self, key: str, content: bytes) -> None:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType="application/gzip"
            )
        except HTTPClientError as error:
            raise UnavailableError("The archive is out of reach.") from error
        except ClientError as error:
            # Also a refusal for good, such as a lacking permission: no batch may be lost by it.
            code = error.response["Error"]["Code"]
            raise UnavailableError(f"The archive refused a file: {code}.") from error
