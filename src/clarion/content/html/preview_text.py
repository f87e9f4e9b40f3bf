"""Adds the preheader of an email: text that inboxes show behind the subject, hidden in the HTML."""

from __future__ import annotations

from html import escape

from clarion.model.graphemes import beginning

_STYLE = "display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all;"
SHOWN = 250
"""Characters of it that go into the HTML: no inbox shows more."""
_FILLER = "&#847;&zwnj;&nbsp;" * 40
"""Keeps the text of the body out of the preview."""


def with_preheader(html: str, preheader: str) -> str:
    """`html` with the preheader as the first thing in its body."""
    hidden = f'<div style="{_STYLE}">{escape(beginning(preheader, SHOWN))}{_FILLER}</div>'
    body = html.find("<body")
    start = html.find(">", body) + 1 if body >= 0 else 0
    return html[:start] + hidden + html[start:]
