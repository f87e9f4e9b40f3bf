"""Sanitises HTML from users: keeps text formatting, and removes scripts, styles, forms and images."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import nh3

from clarion.content.localise.render_target import FilterError
from clarion.content.sanitize import SCHEMES

MAX_HTML = 65_536
"""Characters of one value."""
MAX_TAGS = 2_000
MAX_FORMATS = 100_000
"""Tags times formatting tags (`<b>`): HTML has them repeated in every paragraph until they are closed."""
TAGS = frozenset({
    "a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre", "s", "small",
    "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
})  # fmt: skip
_FORMATS = re.compile(
    r"<(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?![a-z0-9])", re.IGNORECASE | re.ASCII
)
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}


def cleaned(value: Any) -> str:
    """`value` as HTML, reduced to TAGS. Raises FilterError where that would take long."""
    text = str(value)
    if len(text) > MAX_HTML:
        raise FilterError(f"`rich` takes at most {MAX_HTML} characters")
    count = text.count("<")
    if count <= MAX_TAGS and count * len(_FORMATS.findall(text)) <= MAX_FORMATS:
        html = _cleaned(text)
        if len(html) <= 2 * MAX_HTML:
            return html
    raise FilterError("`rich` takes HTML with fewer tags")


@lru_cache(maxsize=128)
def _cleaned(html: str) -> str:
    return nh3.clean(
        html,
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer nofollow",
    )
