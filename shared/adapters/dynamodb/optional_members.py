"""Which members an item that is updated in place may be without."""

# Absent from the item that is saved, they are removed from the stored one.
OPTIONAL = {
    "ACCOUNT": (
        "late",
        "grants",
        "checkpoints",
        "quarantined_at",
        "held",
        "reserved",
        "reserved_until",
        "stale",
        "changes_at",
    ),
    "SUBSCRIPTION": (
        "next_plan",
        "next_plan_version",
        "next_quantity",
        "next_paused",
        "credit",
        "coupons",
        "add_ons",
    ),
}
