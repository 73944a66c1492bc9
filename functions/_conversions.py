"""Asking customers to pay, beside what a function is there for: a failure stays here."""

from collections.abc import Iterable

from aws_lambda_powertools import Logger

from functions._metrics import count
from functions._runtime import Runtime
from shared.domain.accounts import Account
from shared.services.conversions import ask

logger = Logger(child=True)


def ask_where_due(runtime: Runtime, accounts: Iterable[Account]) -> None:
    """Asks the customers of these accounts; one that fails is counted and asked another time.

    The next version of its account asks again, and each day's reconciliation does.
    """
    asked = failed = 0
    for account in accounts:
        try:
            asked += ask(runtime.books, account)
        except Exception:
            failed += 1
            logger.exception("conversion not recorded")
    count("conversions", {"ConversionsAsked": asked, "ConversionsNotRecorded": failed})
