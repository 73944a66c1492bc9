"""Where the archive's files are kept, in memory and in S3, behaves the same."""

import gzip
import uuid
from collections.abc import Callable, Mapping

import pytest

from shared.adapters.s3_archive import S3ArchiveFiles
from shared.domain.errors import UnavailableError
from shared.services.archive import ArchiveFiles
from tests.fakes.archive import MemoryArchive

Store = tuple[ArchiveFiles, Callable[[], Mapping[str, bytes]]]


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """The store, and what it holds."""
    if request.param == "memory":
        memory = MemoryArchive()
        return memory, lambda: memory.files
    client = request.getfixturevalue("aws").client("s3")
    bucket = f"archive-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)

    def held() -> Mapping[str, bytes]:
        keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    return S3ArchiveFiles(client, bucket), held


def test_a_file_is_held_as_it_was_given_and_once(store: Store) -> None:
    files, held = store
    content = gzip.compress(b'{"id":"1"}\n', mtime=0)
    for _ in range(2):
        files.put("events/dt=2026-03-01/a.ndjson.gz", content)
    files.put("events/dt=2026-03-02/b.ndjson.gz", b"")
    assert held() == {
        "events/dt=2026-03-01/a.ndjson.gz": content,
        "events/dt=2026-03-02/b.ndjson.gz": b"",
    }


@pytest.mark.parametrize("engine", ["memory", "s3"])
def test_a_file_that_cannot_be_stored_is_told_of(
    engine: str, request: pytest.FixtureRequest
) -> None:
    if engine == "memory":
        files: ArchiveFiles = MemoryArchive()
        files.broken = True
    else:
        client = request.getfixturevalue("aws").client("s3")
        files = S3ArchiveFiles(client, f"missing-{uuid.uuid4().hex}")
    with pytest.raises(UnavailableError):
        files.put("events/dt=2026-03-01/a.ndjson.gz", b"")
