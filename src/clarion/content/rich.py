"""HTML that a user wrote, reduced to what text needs: no script, no style, no form, no picture, no surprise."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import minijinja
import nh3

from clarion.content.plaintext import plain
from clarion.content.reader import FilterError
from clarion.content.text import SCHEMES

MAX_HTML = 65_536
"""Characters of one value."""
TAGS = frozenset({
    "a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre", "s", "small",
    "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
})  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}


@minijinja.pass_state
def rich(state: Any, value: Any) -> str:
    """`value` as HTML where HTML is written, reduced to TAGS; elsewhere as plain text."""
    text = str(value)
    if len(text) > MAX_HTML:
        raise FilterError(f"`rich` takes at most {MAX_HTML} characters")
    html = _cleaned(text)
    return minijinja.safe(html) if state.auto_escape == "html" else plain(html)


@lru_cache(maxsize=128)
def _cleaned(html: str) -> str:
    return nh3.clean(
        html,
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer nofollow",
    )
