"""The pages as one ASGI application."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
import structlog

from clarion.dashboard import (
    browsers,
    campaign_pages,
    config_pages,
    pages,
    partials,
    person_pages,
    segment_pages,
    stats_page,
    template_pages,
    trigger_form,
    workflow_pages,
    workflow_test_page,
)
from clarion.dashboard.context import Site
from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.guard import PageGuard
from clarion.dashboard.message_feed import Board
from clarion.dashboard.message_page import Detail
from clarion.dashboard.page_address import record_id
from clarion.dashboard.request import (
    AsgiApp,
    PageRequest,
    Receive,
    Response,
    Scope,
    Send,
    answer,
    head,
    whole,
)
from clarion.dashboard.routing import EMAIL_POLICY, PageRoute, PageRoutes, fragment, plain, readable, sentence
from clarion.dashboard.user_list import person
from clarion.errors import ClarionError, InvalidData, NotFound
from clarion.model.ids import MessageId

log = structlog.get_logger(__name__)

PEOPLE = 6
"""Faces on the page: the first users of the tenant."""
TOKEN_S = 900

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


route = PageRoutes()


class Pages:
    """Development pages for one browser on this machine; in `serve` mode one plain page."""

    def __init__(self, parts: DashboardParts) -> None:
        self.site = Site(parts)
        self.guard = PageGuard(parts.vault.hash("development-page", b"cookie"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = head(scope)
        response = readable(request, await self.respond(request, receive))
        shown = response.with_headers({"content-security-policy": POLICY, **HEADERS, **response.headers})
        await answer(send, shown, head=scope["method"] == "HEAD")

    async def respond(self, request: PageRequest, receive: Receive) -> Response:
        """The answer, whatever happens. The body is read once it is known that somebody may send it."""
        method = request.method
        if request.path.startswith("/ui/static/") and method == "GET":
            return pages.static(request)
        if request.path == "/ui/push-worker.js" and method == "GET":
            return browsers.worker()
        if self.site.parts.mode == "serve":
            return (
                sentence("Clarion", "Notification infrastructure. This installation is running.", home=True)
                if (method, request.path) == ("GET", "/")
                else MISSING
            )
        chosen = next(
            (
                r
                for r in (
                    *route,
                    *template_pages.route,
                    *partials.route,
                    *workflow_pages.route,
                    *workflow_test_page.route,
                    *person_pages.route,
                    *segment_pages.route,
                    *campaign_pages.route,
                    *config_pages.route,
                    *stats_page.route,
                    *browsers.route,
                )
                if r.method == method and r.match(request.path) is not None
            ),
            None,
        )
        refusal = self.guard.refusal(request, cookie=chosen is not None and not chosen.page)
        if refusal:
            return plain(403, refusal)
        if chosen is None:
            return MISSING
        sent = await whole(request, receive)
        if sent is None:
            return plain(413, "The request body is too large.")
        response = await self._guarded(chosen, sent)
        return response.with_headers({"set-cookie": self.guard.cookie()}) if chosen.page else response

    async def _guarded(self, chosen: PageRoute, request: PageRequest) -> Response:
        try:
            return await chosen.handler(self.site, request, chosen.match(request.path) or "")
        except ClarionError as error:
            if error.status >= 500:
                log.warning("page_failed", path=request.path, code=error.code)
            if chosen.page:
                return plain(error.status, error.detail)
            also = error.mismatches[1:] if isinstance(error, InvalidData) else ()
            return fragment(
                "refused.html", code=error.status, detail=error.detail, also=[_placed(*one) for one in also]
            )
        except Exception:
            log.exception("page_failed", path=request.path)
            return plain(500, "Unexpected error: this is a bug in Clarion. The server's log has the cause.")


def create(parts: DashboardParts) -> AsgiApp:
    """The ASGI application for `/` and `/ui/...`."""
    return Pages(parts)


# ── what the addresses answer ─────────────────────────────────────────────────────────────────────────────


@route("GET", "/", page=True)
async def page(site: Site, request: PageRequest, _: str) -> Response:
    """The whole page."""
    dev, tenant = site.dev(), site.tenant()
    setup = site.parts.ledger.setup
    users = await site.parts.ledger.users.page(tenant, None, PEOPLE)
    faces = [person(user) for user in reversed(users)]
    workflows = trigger_form.choices(setup, tenant)
    first = setup.workflows.all(tenant).get(workflows[0]["key"]) if workflows else None
    body = pages.render(
        "page.html",
        base_url=dev.url,
        api_key=dev.api_key,
        people=faces,
        push_key=browsers.key_for_pages(setup, tenant),
        workflows=workflows,
        chosen=trigger_form.form(setup, tenant, first) if first else {"fields": [], "data": "{}"},
        **await Board(site.parts, tenant).first(),
    )
    return Response(body=body)


@route("GET", "/ui/workflows/*/fields")
async def workflow_form(site: Site, request: PageRequest, key: str) -> Response:
    """The data fields of a workflow."""
    setup, tenant = site.parts.ledger.setup, site.tenant()
    workflow = setup.workflows.all(tenant).get(key)
    if workflow is None:
        raise NotFound(f"The workflow {key!r} does not exist any more.")
    chosen = trigger_form.form(setup, tenant, workflow)
    return fragment("data.html", chosen=chosen).with_headers({"clarion-route": quote(chosen["route"])})


@route("POST", "/ui/send")
async def send(site: Site, request: PageRequest, _: str) -> Response:
    """Submit an event, as the API would."""
    began = site.parts.clock.monotonic()
    (result,) = await site.parts.pipeline.submit(site.tenant(), [trigger_form.submission(request.form())])
    if isinstance(result, ClarionError):
        raise result
    took_ms = (site.parts.clock.monotonic() - began) * 1000
    return fragment(
        "accepted.html", event_id=result.event_id.hex(), accepted=result.accepted, took_ms=took_ms
    )


@route("POST", "/ui/dry-run")
async def dry_run(site: Site, request: PageRequest, _: str) -> Response:
    """What would happen."""
    tenant = site.tenant()
    plans = await Detail(site.parts, tenant).dry_run(trigger_form.submission(request.form()))
    return fragment("plan.html", plans=plans).with_headers({"clarion-into": "sheet"})


@route("GET", "/ui/feed")
async def feed(site: Site, request: PageRequest, _: str) -> Response:
    """What arrived since the page last asked; 204 when nothing did."""
    after = request.query.get("after", "")
    news = await Board(site.parts, site.tenant()).since(int(after) if after.isdigit() else -1)
    if news is None:
        return Response(status=204)
    return Response(body=news[1], headers={"clarion-seq": str(news[0])})


@route("GET", "/ui/messages/*")
async def message(site: Site, request: PageRequest, id: str) -> Response:
    """Timeline, explanation and content of one message."""
    return fragment("message.html", **await Detail(site.parts, site.tenant()).message(_message_id(id)))


@route("POST", "/ui/messages/*/cancel")
async def cancel(site: Site, request: PageRequest, id: str) -> Response:
    """Stop a message that waits."""
    found = await site.parts.ledger.records.get(site.tenant(), _message_id(id))
    if found is not None:
        await site.parts.services.cancellations.message(found)
    return await message(site, request, id)


@route("GET", "/ui/emails/*")
async def email(site: Site, request: PageRequest, id: str) -> Response:
    """A captured email as a document of its own, for a frame that may do nothing."""
    content = await Board(site.parts, site.tenant()).email(_message_id(id))
    if content is None:
        raise NotFound("This email can no longer be opened: its user was deleted.")
    body = content.html.encode() or pages.render("text.html", text=content.text)
    return Response(body=body, headers={"content-security-policy": EMAIL_POLICY})


@route("GET", "/ui/calls/*")
async def call(site: Site, request: PageRequest, id: str) -> Response:
    """A captured call as a sound, in the language of the person who is called."""
    found = await Board(site.parts, site.tenant()).call(_message_id(id))
    if found is None:
        raise NotFound("This call can no longer be heard: its user was deleted.")
    if site.parts.speech is None:
        raise NotFound("Nothing on this machine speaks: install espeak-ng, then start again.")
    content, who = found
    return Response(body=await site.parts.speech.spoken(content.text, who.locale), type="audio/wav")


@route("POST", "/ui/tokens/*")
async def token(site: Site, request: PageRequest, user_id: str) -> Response:
    """A short-lived token for one demo user's inbox."""
    tenant = site.tenant()
    user = (await site.parts.ledger.users.find(tenant, [user_id])).get(user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id!r}.")
    minted = site.parts.services.user_tokens.mint(user, TOKEN_S)
    return Response(body=msgspec.json.encode({"token": minted}), type="application/json")


def _placed(pointer: str, detail: str) -> str:
    """`#/data/order/id`, said so that people find it."""
    place = pointer.removeprefix("#/data").lstrip("/").replace("/", " · ")
    return f"Also: {place}: {detail}." if place else f"Also: {detail}."


def _message_id(text: str) -> MessageId:
    return MessageId(record_id(text, "message"))


MISSING = plain(404, "There is no page at this address.")
