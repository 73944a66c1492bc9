"""The catalogue in the billing table: one partition, a HEAD item, one item per entry.

Every publication is one transaction under HEAD's version: the entry, HEAD with the next version,
and the audit entry. HEAD names the entry that made its version (`changed`), and every entry says
which version wrote it (`written`).
"""

import time
from collections.abc import Mapping
from typing import Any

from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.audit import audit_item
from shared.adapters.dynamodb.catalogue_items import catalogue_of, entry_body, sort_key
from shared.adapters.dynamodb.errors import delay_seconds, retrying
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.catalogue import Catalogue
from shared.domain.errors import UnavailableError
from shared.domain.publishing import Publication
from shared.services.changes import PutAudit

PARTITION = "CATALOGUE"
HEAD = {"pk": {"S": PARTITION}, "sk": {"S": "HEAD"}}
MAX_LOADS = 5


class DynamoCatalogueStore(TableReads):
    """The catalogue store on DynamoDB."""

    def head_version(self) -> int:
        """The newest catalogue version, 0 while nothing is published."""
        head = self._get(PARTITION, "HEAD")
        return int(from_item(head)["version"]) if head else 0

    def load(self) -> Catalogue:
        """The whole catalogue; what it holds is never older than its version says.

        HEAD's key sorts first, so a consistent query reads the version before the entries. A query
        may still meet a transaction half applied: HEAD written, its entry not yet. Such a read is
        seen, because the entry that HEAD names is older than HEAD, and done again. Entries of
        earlier versions are always there: nobody publishes a version on top of one that they have
        not read whole. Entries may be newer than the version; those meters count only the events
        stamped with their own version or later.

        Raises: UnavailableError.
        """
        for attempt in range(MAX_LOADS):
            entries = self._read_partition()
            head = entries.pop("HEAD", {"version": 0})
            if not head["version"] or _is_whole(head, entries):
                return catalogue_of(int(head["version"]), entries)
            time.sleep(delay_seconds(attempt))
        raise UnavailableError("a publication is taking its time")

    def publish(self, read_version: int, publication: Publication, audit: PutAudit) -> None:
        """Makes the publication the next version, if the newest is still the one read.

        Raises: VersionConflictError, UnavailableError.
        """
        version = read_version + 1
        key = sort_key(publication.after)
        body = entry_body(publication.after)
        entry = to_item({"pk": PARTITION, "sk": key, "written": version, **body})
        head = {**HEAD, **to_item({"version": version, "changed": key})}
        put_head = {"Item": head, "ConditionExpression": "attribute_not_exists(pk)"}
        if read_version:
            put_head["ConditionExpression"] = "version = :read"
            put_head["ExpressionAttributeValues"] = {":read": {"N": str(read_version)}}
        puts: list[dict[str, Any]] = [put_head, {"Item": entry}, {"Item": audit_item(audit)}]
        writes: list[Any] = [{"Put": {"TableName": self._table, **put}} for put in puts]
        retrying(lambda: self._client.transact_write_items(TransactItems=writes))

    def _read_partition(self) -> dict[str, dict[str, Any]]:
        entries = map(from_item, self._query("pk = :pk", {":pk": PARTITION}))
        return {entry["sk"]: entry for entry in entries}


def _is_whole(head: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> bool:
    changed = entries.get(head["changed"])
    return changed is not None and bool(changed["written"] >= head["version"])
