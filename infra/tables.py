"""The two tables: raw usage events, and everything that must change together with a balance."""

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.stage import Stage

STRING = dynamodb.AttributeType.STRING


class Tables(Construct):
    """Both are encrypted with the key that AWS owns, and pay per request."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(scope, id)
        self.events = self._table("UsageEvents", stage, dynamodb.StreamViewType.NEW_IMAGE)
        self.events.add_global_secondary_index(
            index_name="by_time",
            partition_key=_string("lane"),
            sort_key=_string("occurred_at"),
            projection_type=dynamodb.ProjectionType.ALL,
        )
        self.billing = self._table(
            "Billing", stage, dynamodb.StreamViewType.NEW_AND_OLD_IMAGES, ttl="ttl"
        )
        self.billing.add_global_secondary_index(
            index_name="by_due",
            partition_key=_string("due_lane"),
            sort_key=_string("due_at"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        self.billing.add_global_secondary_index(
            index_name="by_kind",
            partition_key=_string("kind"),
            sort_key=_string("kind_sort"),
            projection_type=dynamodb.ProjectionType.ALL,
        )

    def _table(
        self, id: str, stage: Stage, stream: dynamodb.StreamViewType, ttl: str | None = None
    ) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            id,
            partition_key=_string("pk"),
            sort_key=_string("sk"),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            stream=stream,
            time_to_live_attribute=ttl,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=stage.protected
            ),
            deletion_protection=stage.protected,
            removal_policy=stage.removal_policy,
        )
        if not stage.protected:
            acknowledge(table, "DDB3", "Data of this stage is made to be thrown away.")
        return table


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=STRING)
