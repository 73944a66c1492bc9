"""What operators ask about all customers: what came in, what it cost, what another plan would."""

from functions._http import Request, Router
from functions._runtime import Runtime
from shared.domain.errors import InvalidError, Problem
from shared.domain.events import canonical_json
from shared.wire.replay import ReplayBody, ReplayView

router = Router()


@router.route(
    "POST",
    "/v1/pricing/replay",
    scope="read",
    summary="What a draft plan would have brought in over past usage; changes nothing",
    body=ReplayBody,
    answer=ReplayView,
)
def replay_plan(request: Request, runtime: Runtime, body: ReplayBody) -> ReplayView:
    if body.start >= body.end:
        raise InvalidError("Nothing lies between.", [Problem("/to", "not-after-from")])
    asked = body.model_dump(mode="json", exclude={"cursor", "limit"})
    purpose = canonical_json([request.path, asked])
    cursor = runtime.cursors.open(purpose, body.cursor)["after"] if body.cursor else None
    page = runtime.replays.compare(body.to_plan(), body.to_question(cursor), body.start, body.end)
    after = runtime.cursors.sign(purpose, {"after": page.cursor}) if page.cursor else None
    return ReplayView.of(body, page.items, after)
