"""`/p/{token}`: the preference page. A GET shows it, a POST saves; whoever has the link may, so there is no login.

Mail programs and link scanners open every link, so nothing but a POST may change anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from urllib.parse import parse_qsl

import structlog
from msgspec.structs import replace

from clarion.api import request_bodies
from clarion.api.dependencies import ApiParts
from clarion.api.preference_form import (
    Answers,
    PageSetup,
    PreferenceForm,
    answered,
    applied,
    form_of,
)
from clarion.api.preference_html import PageNotice, PageText, form_page, headers, message_page, until
from clarion.api.preference_words import PREFERENCE_WORDS
from clarion.api.reader_languages import languages_of
from clarion.api.responses import HttpScope, Send, answer
from clarion.api.unsubscribe_words import WORDS
from clarion.content.localise.locales import choose
from clarion.errors import Busy, Conflict, NotFound, Unavailable, UserUnreadable
from clarion.model.setup import Brand
from clarion.model.topic import Topic
from clarion.model.user import Profile, User
from clarion.rules import preferences
from clarion.rules.limiter import Bucket, take
from clarion.services.preference_pages import PageVisit

LONGEST_BODY = 256 * 1024
FIELDS = 4_096
SAVES_PER_S = 20.0
"""By everybody together, so that one link cannot write without end. To stop everything is never limited."""
TOPICS = 50
"""Topics that the page shows."""

_HTML = b"text/html; charset=utf-8"

_log = structlog.get_logger("clarion.api")


class PreferencePage:
    """The preference pages of all tenants."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._saves = Bucket(rate=SAVES_PER_S, burst=SAVES_PER_S, tokens=SAVES_PER_S)

    async def __call__(
        self, token: str, scope: HttpScope, receive: request_bodies.Receive, send: Send
    ) -> None:
        """Answer with a page, whatever happens: behind the link is a person, not a program."""
        given = dict(scope["headers"])
        wanted = languages_of(given)
        posted = scope["method"] == "POST"
        body = await request_bodies.read(receive, given, LONGEST_BODY) if posted else b""
        try:
            visit = await self._parts.services.preference_pages.visit(token)
            if visit is None:
                text = PageText(choose(PREFERENCE_WORDS, *wanted) or "en", "", Brand())
                title = WORDS[choose(WORDS, text.language) or "en"].lost_title
                await _show(send, 404, text, message_page(text, title, text.words.lost))
                return
            text = _text(visit, visit.user, wanted)
            setup = await self._setup(visit)
            if not posted:
                form = form_of(setup, visit.user, self._parts.clock.now())
                await _show(send, 200, text, form_page(text, form, editable=visit.editable))
            else:
                await self._act(send, visit, setup, wanted, _answers(body))
        except (Busy, Unavailable, Conflict, NotFound, UserUnreadable) as trouble:
            _log.warning("preference_page_failed", code=trouble.code)
            text = PageText(choose(PREFERENCE_WORDS, *wanted) or "en", "", Brand())
            said = WORDS[choose(WORDS, text.language) or "en"]
            await _show(send, 503, text, message_page(text, said.busy_title, said.busy))

    async def _act(
        self, send: Send, visit: PageVisit, setup: PageSetup, wanted: list[str], answers: Answers
    ) -> None:
        now = self._parts.clock.now()
        text = _text(visit, visit.user, wanted)
        before = form_of(setup, visit.user, now)
        action = next(iter(answers.get("action", ())), "save")
        if not visit.editable:
            await _show(send, 403, text, form_page(text, before, editable=False))
            return
        if action != "stop":
            self._limit()
        if action == "undo":
            await self._undo(send, visit, setup, wanted, answers)
            return
        after = before if action == "stop" else answered(before, answers)
        if after.errors:
            await _show(send, 422, text, form_page(text, after, editable=True))
            return

        def chosen(profile: Profile) -> Profile:
            if action == "stop":
                return _stopped(profile)
            seen = form_of(setup, _with(visit.user, profile), now)
            return applied(setup, profile, seen, answered(seen, answers), now)

        was, user, undo = await self._parts.services.preference_pages.save(visit, chosen)
        text = _text(visit, user, wanted)
        old, form = form_of(setup, was, now), form_of(setup, user, now)
        changes = list(_changes(text, old, form))
        title = text.words.stopped if action == "stop" else text.words.saved
        notice = PageNotice(title, changes or [text.words.unchanged], undo if changes else "")
        await _show(send, 200, text, form_page(text, form, editable=True, notice=notice))

    async def _undo(
        self, send: Send, visit: PageVisit, setup: PageSetup, wanted: list[str], answers: Answers
    ) -> None:
        now = self._parts.clock.now()
        try:
            user = await self._parts.services.preference_pages.undo(
                visit, next(iter(answers.get("undo", ())), "")
            )
        except Conflict:
            text = _text(visit, visit.user, wanted)
            page = form_page(
                text,
                form_of(setup, visit.user, now),
                editable=True,
                notice=PageNotice(text.words.changed, wrong=True),
            )
            await _show(send, 409, text, page)
            return
        text = _text(visit, user, wanted)
        page = form_page(text, form_of(setup, user, now), editable=True, notice=PageNotice(text.words.undone))
        await _show(send, 200, text, page)

    def _limit(self) -> None:
        self._saves, granted, wait_s = take(self._saves, self._parts.clock.monotonic(), (1,))
        if not granted:
            raise Busy(f"too many people save their preferences at once: try again in {wait_s:.0f} seconds")

    async def _setup(self, visit: PageVisit) -> PageSetup:
        view, tenant = self._parts.ledger.setup, visit.tenant
        named = {*tenant.preferences.topics, *visit.user.profile.preferences.topics}
        found = [await self._parts.ledger.directory.topic(tenant.id, key) for key in sorted(named)[:TOPICS]]
        topics: list[Topic] = [one for one in found if one is not None]
        return PageSetup(
            tenant,
            view.categories.all(tenant.id),
            view.workflows.all(tenant.id),
            self._parts.pipeline.coverage.served(tenant.id),
            topics,
        )


def _stopped(profile: Profile) -> Profile:
    return replace(profile, preferences=preferences.stopped(profile.preferences))


def _with(user: User, profile: Profile) -> User:
    return replace(user, profile=profile)


def _text(visit: PageVisit, user: User, wanted: list[str]) -> PageText:
    tenant = visit.tenant
    language = choose(PREFERENCE_WORDS, user.profile.locale, *wanted, tenant.locale) or "en"
    return PageText(language, tenant.brand.name or tenant.name or tenant.key, tenant.brand)


def _answers(body: bytes) -> Answers:
    """Each field with its values."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(
        body.decode(errors="replace"), keep_blank_values=True, max_num_fields=FIELDS
    ):
        found.setdefault(name, []).append(value)
    return found


def _changes(text: PageText, before: PreferenceForm, after: PreferenceForm) -> Iterator[str]:
    """What is different now, in words."""
    words = text.words
    was = {box.name: box.on for _, box in before.boxes()}
    for row, box in after.boxes():
        if was.get(box.name) is not box.on:
            name: str = getattr(words, box.channel.value)
            yield f"<bdi>{escape(row.title)}</bdi>, {name}: {words.on if box.on else words.off}"
    if before.digest != after.digest:
        yield f"{words.digest}: {getattr(words, after.digest.every.value)}"
    if before.spans != after.spans:
        spans = ", ".join(f"<bdi>{escape(one.start)}-{escape(one.end)}</bdi>" for one in after.spans)
        yield f"{words.quiet}: {spans or words.off}"
    if before.snoozed_until != after.snoozed_until:
        yield f"{words.pause}: {words.no_pause if after.snoozed_until is None else until(text, after)}"
    if (before.timezone, before.zone_by) != (after.timezone, after.zone_by):
        yield f"{words.zone}: <bdi>{escape(after.timezone)}</bdi>"
    if before.locale != after.locale:
        yield f"{words.language}: <bdi>{escape(after.locale)}</bdi>"


async def _show(send: Send, status: int, text: PageText, page: bytes) -> None:
    await answer(send, status, page, *headers(text.brand.color), media_type=_HTML)
