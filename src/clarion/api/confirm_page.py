"""`/c/{token}`: confirming a consent (double opt-in). A GET only asks, since mail programs open every link; a POST confirms."""

from __future__ import annotations

from html import escape

import structlog

from clarion.api import request_bodies
from clarion.api.confirm_words import CONFIRM_WORDS
from clarion.api.dependencies import ApiParts
from clarion.api.reader_languages import languages_of
from clarion.api.responses import HttpScope, Send, answer
from clarion.api.unsubscribe_page import HEADERS, document
from clarion.api.unsubscribe_words import WORDS
from clarion.content.localise.locales import choose
from clarion.errors import Busy, Conflict, NotFound, Unavailable, UserUnreadable
from clarion.model.verification import Verification, VerificationStatus

LONGEST_BODY = 1024
LONGEST_PROOF = 200
"""Characters of a header that are kept."""

_HTML = b"text/html; charset=utf-8"
_log = structlog.get_logger("clarion.api")


class ConfirmPage:
    """The confirmation links of all tenants."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def __call__(
        self, token: str, scope: HttpScope, receive: request_bodies.Receive, send: Send
    ) -> None:
        """Answer with a page, whatever happens: behind the link is a person, not a program."""
        headers = dict(scope["headers"])
        wanted = languages_of(headers)
        language = choose(CONFIRM_WORDS, *wanted) or "en"
        try:
            found = await self._parts.services.verifications.linked(token)
            if found is None or found.consent is None:
                words = WORDS[language]
                await _show(send, 404, document(language, words.lost_title, words.lost))
                return
            if scope["method"] == "POST":
                await request_bodies.read(receive, headers, LONGEST_BODY)
                found = await self._parts.services.verifications.confirm(found, _proof(scope, language))
            await _show(send, 200, await self._page(found, wanted))
        except (Busy, Unavailable, Conflict, NotFound, UserUnreadable) as trouble:
            _log.warning("confirmation_failed", code=trouble.code)
            words = WORDS[language]
            await _show(send, 503, document(language, words.busy_title, words.busy))

    async def _page(self, one: Verification, wanted: list[str]) -> bytes:
        ledger = self._parts.ledger
        tenant = ledger.setup.tenants.all()[one.tenant]
        user = (await ledger.users.get([one.user])).get(one.user)
        own = (user.profile.locale,) if user is not None else ()
        language = choose(CONFIRM_WORDS, *own, *wanted, tenant.locale) or "en"
        words = CONFIRM_WORDS[language]
        names = {"what": _bdi(self._what(one)), "sender": _bdi(tenant.name or tenant.key)}
        if one.status is VerificationStatus.APPROVED:
            return document(language, words.done_title, words.done.format(**names))
        if one.status is VerificationStatus.PENDING:
            form = f"<form method=post><button>{escape(words.confirm)}</button></form>"
            return document(language, words.ask_title, words.ask.format(**names), form)
        return document(language, words.over_title, words.over)

    def _what(self, one: Verification) -> str:
        """The name of the category that is meant, else the purpose."""
        assert one.consent is not None
        purpose = one.consent.purpose
        categories = self._parts.ledger.setup.categories.all(one.tenant).values()
        found = [category for category in categories if purpose in (category.key, category.purpose)]
        return found[0].name or purpose if len(found) == 1 else purpose


def _proof(scope: HttpScope, language: str) -> dict[str, str]:
    """What shows that somebody confirmed: the page's language and what their browser says of itself."""
    agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")[:LONGEST_PROOF]
    return {"language": language, "user_agent": agent}


def _bdi(name: str) -> str:
    return f"<bdi>{escape(name)}</bdi>"


async def _show(send: Send, status: int, page: bytes) -> None:
    await answer(send, status, page, *HEADERS, media_type=_HTML)
