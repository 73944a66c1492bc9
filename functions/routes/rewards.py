"""Rewards: the rules, and how far a customer is under them."""

from functions._following import rewards_of
from functions._http import Request, Router
from functions._runtime import Runtime
from functions._validation import validate
from functions.follow_usage import report
from functions.routes._common import page_by_key
from shared.domain.errors import NotFoundError
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.rewards import (
    RecountBody,
    RewardRuleAnswer,
    RewardRuleBody,
    RewardsRecountView,
    RewardsView,
    RewardView,
)

router = Router()


@router.route(
    "PUT",
    "/v1/reward-rules/{rule}",
    scope="admin",
    summary="Make a reward rule, for good",
    body=RewardRuleBody,
    answer=RewardRuleAnswer,
)
def put_reward_rule(request: Request, runtime: Runtime, body: RewardRuleBody) -> RewardRuleAnswer:
    rule = body.to_rule(validate(Slug, request.parameters["rule"]))
    service = runtime.catalogue_service
    return RewardRuleAnswer.of(
        service.put_reward_rule(rule, request.principal, runtime.clock.now())
    )


@router.route(
    "POST",
    "/v1/reward-rules/{rule}/archive",
    scope="admin",
    summary="End a reward rule: it gives nothing more, what it gave stays",
    answer=RewardRuleAnswer,
)
def archive_reward_rule(request: Request, runtime: Runtime) -> RewardRuleAnswer:
    key, service = request.parameters["rule"], runtime.catalogue_service
    return RewardRuleAnswer.of(
        service.archive_reward_rule(key, request.principal, runtime.clock.now())
    )


@router.route(
    "GET",
    "/v1/reward-rules/{rule}",
    scope="read",
    summary="A reward rule",
    answer=RewardRuleAnswer,
)
def read_reward_rule(request: Request, runtime: Runtime) -> RewardRuleAnswer:
    rule = runtime.catalogue_service.catalogue().reward_rules.get(request.parameters["rule"])
    if rule is None:
        raise NotFoundError("No such reward rule.")
    return RewardRuleAnswer.of(rule)


@router.route(
    "GET",
    "/v1/reward-rules",
    scope="read",
    summary="List reward rules by key, archived ones too",
    query=PageQuery,
    answer=Page[RewardRuleAnswer],
)
def list_reward_rules(
    request: Request, runtime: Runtime, query: PageQuery
) -> Page[RewardRuleAnswer]:
    rules = runtime.catalogue_service.catalogue().reward_rules
    return page_by_key(runtime, request, query, rules, RewardRuleAnswer.of)


@router.route(
    "GET",
    "/v1/customers/{customer}/rewards",
    scope="read",
    summary="How far a customer is under each reward rule",
    answer=RewardsView,
)
def read_rewards(request: Request, runtime: Runtime) -> RewardsView:
    found = rewards_of(runtime).standings(request.parameters["customer"])
    return RewardsView(data=[RewardView.of(standing) for standing in found])


@router.route(
    "POST",
    "/v1/rewards/recount",
    scope="admin",
    summary="Count a customer's usage anew and give the rewards that are missing; once by nature",
    body=RecountBody,
    answer=RewardsRecountView,
)
def recount_rewards(request: Request, runtime: Runtime, body: RecountBody) -> RewardsRecountView:
    given = rewards_of(runtime).recount(body.customer, body.start, body.end)
    report(given)
    return RewardsRecountView(given=given.grants, waiting=given.waiting)
