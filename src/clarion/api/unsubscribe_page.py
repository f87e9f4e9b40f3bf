"""The page behind an unsubscribe link, in the reader's language. It loads nothing."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Literal

from clarion.api.unsubscribe_words import RIGHT_TO_LEFT, WORDS

State = Literal["ask", "done", "back", "lost", "busy"]

STYLE = """
:root{color-scheme:light dark;--page:light-dark(#f6f5f2,#111216);--card:light-dark(#fff,#191b21);
--line:light-dark(#e4e2db,#2a2d36);--ink:light-dark(#1b1c20,#eceef3);--soft:light-dark(#55565e,#a9adb9);
--fill:light-dark(#4350c4,#5b68e0);--edge:light-dark(#4350c4,#a3adff)}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:16px;background:var(--page);color:var(--ink);
font:17px/1.5 system-ui,sans-serif}
main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:clamp(20px,6vw,40px)}
h1{font-size:1.4rem;line-height:1.25;margin:0 0 .6rem}p{margin:0;color:var(--soft);overflow-wrap:anywhere}
form{margin-top:1.6rem}
button{font:inherit;font-weight:600;min-height:48px;padding:.6rem 1.4rem;border-radius:10px;cursor:pointer;
border:1px solid var(--fill);background:var(--fill);color:#fff}
button.quiet{background:none;color:var(--edge);border-color:var(--edge)}
textarea{font:inherit;width:100%;margin:.4rem 0}
button:focus-visible,textarea:focus-visible{outline:3px solid var(--edge);outline-offset:3px}
"""

HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-%b'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        % b64encode(sha256(STYLE.encode()).digest()),
    ),
    (b"x-robots-tag", b"noindex, nofollow"),
]

_NEXT: dict[State, tuple[str, str, str]] = {
    "ask": ("leave", "leave", ""),
    "done": ("undo", "back", " class=quiet"),
    "back": ("leave", "leave", " class=quiet"),
}
"""The button of a page: its words, what it asks for, how it looks."""


def page(state: State, language: str, *, category: str = "", sender: str = "", button: bool = True) -> bytes:
    """The page in one of the languages of `WORDS`."""
    words = WORDS[language]
    names = {"category": f"<bdi>{escape(category)}</bdi>", "sender": f"<bdi>{escape(sender)}</bdi>"}
    title: str = getattr(words, f"{state}_title")
    text: str = getattr(words, state).format(**names)
    form = ""
    if button and state in _NEXT:
        label, action, look = _NEXT[state]
        form = (
            f"<form method=post><button name=action value={action}{look}>"
            f"{escape(getattr(words, label))}</button></form>"
        )
    return document(language, title, text, form)


def document(language: str, title: str, text: str, form: str = "") -> bytes:
    """A page for somebody who followed a link. `text` and `form` are HTML."""
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    return (
        f'<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset=utf-8>'
        f'<meta name=viewport content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p role=status>{text}</p>{form}</main></body></html>"
    ).encode()
