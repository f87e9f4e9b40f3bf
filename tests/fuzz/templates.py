"""Random templates with random data: no escape from the sandbox, nothing slow, no user data as markup.

    python -m tests.fuzz.templates --renders 1000000 [--seed 7]

Templates are put together from fragments, tame and hostile; data from values that try to be markup, links, headers,
tags of templates. Whatever comes out is looked at by parsers that are not ours.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from typing import Any

from clarion.content import Renderer
from clarion.content.templates.engine import MAX_OUTPUT
from clarion.content.templates.sandbox import FILTERS
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import (
    AnyContent,
    ChatContent,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
)
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.setup import Template, Tenant
from clarion.model.user import Profile, User

LIMIT_S = 0.250
"""Longest a render may take, in CPU time of its thread, so that a busy machine is not mistaken for a slow template."""
PER_TEMPLATE = 20
EVIL = "xevil"
"""In every hostile value, in no fragment of a template: as an element, an attribute or a scheme it is an escape."""
NOW = Instant(1_777_636_800_000)
TENANT = Tenant(id=TenantId(1), key="demo", name=f"<{EVIL}>", locale="en", sms_smart=True)

NAMES = ("a", "b", "items", "data", "x", "a", "b", "x", "unsubscribe_url", "user.id", "tenant.name")
ODD = 0.04
"""How often something is taken that is refused for sure: such a template is soon dealt with."""
HOSTILE = (
    f"<{EVIL}>", f"</p><{EVIL} on{EVIL}=1>", f"\" {EVIL}=1 \"", f"' {EVIL}='", f"--><{EVIL}>", f"]]><{EVIL}>",
    f"javascript:{EVIL}", f" JaVa\tscript:{EVIL}", f"data:text/html,{EVIL}", f"vbscript:{EVIL}", f"//{EVIL}",
    f"{{{{ {EVIL} }}}}", f"{{% include '{EVIL}' %}}", f"x\r\nBcc: {EVIL}@x", f"\x00{EVIL}\x1b[31m\u202e\u2028",
    f"</style><{EVIL}>", f"</script><{EVIL}>", f"&lt;{EVIL}&gt;", f"&#60;{EVIL}&#62;", f"\\u003c{EVIL}\\u003e",
    f"</mj-text><mj-raw><{EVIL}></mj-raw>", f"<b title='{EVIL}'>", f"<a href='javascript:{EVIL}'>x</a>",
    f"<img src=x onerror={EVIL}>", f"`{EVIL}`", f"{EVIL}" * 50, f"<{EVIL}" + "<b>" * 200,
)  # fmt: skip
TAME = (
    "",
    "Ada",
    "Zoë 漢字",
    "\U0001f600",
    "2026-05-01T12:00:00Z",
    "2026-05-01",
    "12.5",
    "/orders/1",
    "https://x.example/",
)

EXPRESSIONS = (
    "{n}", "data['{n}']", "{n} ~ {n}", "[{n}, {n}]", "{n} if {n} else {n}", "{n}|default({n})", "{n}|default({n})|{f}",
    "user.attributes.x", "items|map(attribute='{n}')|list", "[{n}, {n}]|join({n})", "1|plural(one={n}, other={n})",
    "{n}|rich", "{n}|isolate", "{n}|tojson", "{n} == {n}", "{n}|replace('a', {n})", "{n}|e", "{n}|e|upper", "{n}|{f}",
    "[{n}]|first", "{n}|trim", "{n}|title", "{n}|urlencode", "data[{n}]",
    "3|ordinal(few={n}, other='#')", "{n}|rich|upper", "[{n}|rich]|first", "{n}|length", "{n}|lower", "data",
)  # fmt: skip
ODD_EXPRESSIONS = (
    "{n}.{n}", "{n}[{n}]", "{n} + {n}", "{n} - 1", "({n})[1:]", "{n}|{f}({n})", "{n}|{f}({n}, {n})", "{n}|{f}|{f}",
    "[{n}]|map('{f}')|join({n})", "[{n}]|map({n})|join", "{n}|{f}(one={n}, other={n})", "range({n})", "range(9)|{f}",
    "{n}|rich|{f}", "{n}|link", "{n}|times({n})", "{n} in {n}", "not {n}", "'{{{{'", "{n}.__class__", "missing",
    "{n}|attr('__class__')", "{n}.pop('a')", "{n}.pop", "{n}.items", "{n}|map('attr', '__class__')", "cycler({n})",
    "'x'|indent(99999999)", "{n} * 999999999", "{n}|map(attribute={n})|list", "{n}|sort(attribute={n})|list",
)  # fmt: skip
SHAPES = (
    "{{{{ {e} }}}}", "{{{{- {e} -}}}}", "{{% if {e} %}}{s}{{% endif %}}", "{{% if {e} %}}{s}{{% else %}}{s}{{% endif %}}",
    "{{% for i in {e} %}}{s}{{{{ i }}}}{{% endfor %}}", "{{% for k, v in {e}|items %}}{{{{ k }}}}{{{{ v }}}}{{% endfor %}}",
    "{{% set x = {e} %}}{s}", "{{% set x = {e} %}}{{{{ x }}}}", "{s}{s}", "text ", "{{# {s} #}}", "{{% include 'part' %}}",
    "{{% block k %}}{s}{{% endblock %}}", "{{% extends 'frame' %}}{{% block k %}}{s}{{% endblock %}}",
    "{{% for i in range(500) %}}{{% for j in range(500) %}}{{{{ {e} }}}}{{% endfor %}}{{% endfor %}}",
)  # fmt: skip
MARKUP = (
    "<p>{s}</p>", "<p title=\"{s}\">{s}</p>", "<a href=\"{s}\">{s}</a>", "<a href='/x/{s}'>x</a>", "<img src='{s}' alt='{s}'>",
    "<!-- {s} -->", "<!--[if mso]><td background=\"{s}\">{s}</td><![endif]-->", "<style>p { color: {s} }</style>",
    "<p style=\"width:{s}\">x</p>", "{s}", "<ul>{s}<li>{s}</li></ul>", "<title>{s}</title>", "<textarea>{s}</textarea>",
    "<table><tr><td>{s}</td></tr></table>", "<a\nhref = \"{s}{s}\">", "<svg><a xlink:href='{s}'>{s}</a></svg>", "< {s}",
    "&lt;{s}", "<a href=\"{{ b }}{{ x }}\">{s}</a>", "<a href='https://x.example/?q={s}'>{s}</a>",
)  # fmt: skip
ODD_MARKUP = (
    "<p title={s}>", "<p {s}>", "<script>{s}</script>", "<p onclick=\"{s}\">", "<{s}>", "<iframe srcdoc='{s}'>", "<b", "</{s}>",
)  # fmt: skip
MJML = (
    ("<mjml><mj-body>{s}<mj-section><mj-column><mj-text>{s}</mj-text><mj-button href=\"{s}\">{s}</mj-button>"
    "<mj-image src='{s}' alt='{s}'/></mj-column></mj-section></mj-body></mjml>"),
    ("<mjml><mj-head><mj-title>{s}</mj-title><mj-style>a { b: {s} }</mj-style></mj-head><mj-body>"
    "<mj-section background-url=\"{s}\"><mj-column><mj-table><tr><td>{s}</td></tr></mj-table></mj-column></mj-section>"
    "<mj-raw>{s}</mj-raw></mj-body></mjml>"),
)  # fmt: skip
FIELDS: dict[Channel, tuple[str, ...]] = {
    Channel.EMAIL: ("subject", "preheader", "html", "text"),
    Channel.SMS: ("text",),
    Channel.PUSH: ("title", "body", "url", "image"),
    Channel.IN_APP: ("title", "body", "url"),
    Channel.CHAT: ("text", "title", "url"),
    Channel.WEBHOOK: ("type",),
    Channel.VOICE: ("text",),
}
LOCALES = ("en", "de", "ar", "pl", "zh-Hant", "fr-CA")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_REACHED = re.compile(r"<class '|<built-in|object at 0x|<bound method|Traceback")
_BAD_SCHEME = re.compile(r"(?!(https?|mailto|tel):)[a-z][a-z0-9+.-]*:")
_LINKS = ("href", "src", "action", "background", "xlink:href")


class Escape(Exception):
    """Something got through; the arguments say what, and for which source and data."""


class Tags(HTMLParser):
    """Elements and attributes as a parser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if EVIL in tag:
            self.found.append(f"element {tag}")
        for name, value in attrs:
            if EVIL in name or (name.startswith("on") and EVIL in (value or "")):
                self.found.append(f"attribute {name}")
            address = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name in _LINKS and EVIL in address and _BAD_SCHEME.match(address):
                self.found.append(f"scheme in {name}")

    def handle_comment(self, data: str) -> None:
        if data.startswith("[if"):
            self.found += Tags(data.partition(">")[2]).found


class Maker:
    """Makes templates and data by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._filters = sorted(FILTERS)

    def template(self, version: int) -> Template:
        """With one channel, in one or two locales."""
        channel = self.chance.choice(list(FIELDS) + [Channel.EMAIL] * 4)
        return Template(
            key="fuzz",
            version=version,
            channels={channel: {locale: self._fields(channel) for locale in self.chance.sample(LOCALES, 2)}},
            partials={
                "part": self._source(1),
                "frame": f"{self._markup(1)}{{% block k %}}{self._source(1)}{{% endblock %}}",
            },
        )

    def data(self) -> dict[str, Any]:
        """An event's data."""
        return {name: self._value(3) for name in ("a", "b", "items", "x")}

    def user(self) -> User:
        """A reader; their attributes are theirs to write."""
        profile = Profile(
            locale=self.chance.choice((*LOCALES, "", EVIL)),
            timezone=self.chance.choice(("UTC", "Asia/Tokyo", EVIL)),
            attributes={name: self._value(1) for name in ("a", "b", "x")},
        )
        return User(no=UserNo(1), tenant=TENANT.id, id=self._text(), key=b"", profile=profile)

    def address(self) -> str:
        """Where an unsubscribe link leads: ours, so never hostile."""
        return self.chance.choice(("", "https://x.example/u/1"))

    def _fields(self, channel: Channel) -> dict[str, str]:
        fields = {field: "T" + self._source(self.chance.randint(0, 3)) for field in FIELDS[channel][:1]}
        for field in FIELDS[channel][1:]:
            if self.chance.random() < 0.6:
                fields[field] = self._source(self.chance.randint(0, 3))
        if channel is Channel.EMAIL:
            if self.chance.random() < 0.2:
                fields.pop("html", None)
                fields["mjml"] = self._filled(self.chance.choice(MJML), 1)
            else:
                fields["html"] = "".join(self._markup(2) for _ in range(self.chance.randint(1, 4)))
        if channel in (Channel.PUSH, Channel.IN_APP):
            fields["data"] = '{"v": {{ a|tojson }}}'
            fields["actions"] = '[{"label": {{ a|tojson }}, "url": {{ b|tojson }}}]'
        return fields

    def _markup(self, depth: int) -> str:
        return self._filled(self._chosen(MARKUP, ODD_MARKUP), depth)

    def _source(self, depth: int) -> str:
        if depth <= 0:
            return self.chance.choice(("", "t", "{{ a }}", "{{ b }}", "{{ x|default('') }}"))
        return self._filled(self.chance.choice(SHAPES).format(e=self._expression(), s="{s}"), depth)

    def _filled(self, shape: str, depth: int) -> str:
        return re.sub(r"\{s\}", lambda _: self._source(depth - 1), shape)

    def _expression(self) -> str:
        shape = self._chosen(EXPRESSIONS, ODD_EXPRESSIONS)
        shape = re.sub(r"\{n\}", lambda _: self.chance.choice(NAMES), shape)
        return re.sub(r"\{f\}", lambda _: self.chance.choice(self._filters), shape)

    def _chosen(self, usual: tuple[str, ...], odd: tuple[str, ...]) -> str:
        return self.chance.choice(odd if self.chance.random() < ODD else usual)

    def _text(self) -> str:
        return self.chance.choice(HOSTILE if self.chance.random() < 0.7 else TAME)

    def _value(self, depth: int) -> Any:
        kind = self.chance.randint(0, 9 if depth else 5)
        if kind <= 4:
            return self._text()
        if kind == 5:
            return self.chance.choice((None, True, 0, 1, -1, 3, 1.5, 10**6, 10**18, 1_777_636_800))
        if kind <= 7:
            return [self._value(depth - 1) for _ in range(self.chance.choice((0, 1, 3, 8)))]
        return {self.chance.choice((*NAMES, self._text())): self._value(depth - 1) for _ in range(3)}


class Run:
    """Renders and looks at what comes out."""

    def __init__(self, seed: int) -> None:
        self._maker = Maker(seed)
        self._renderer = Renderer(cache=4)
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0

    def go(self, renders: int) -> None:
        """Raises Escape at the first thing that gets through."""
        version = 0
        while self.counts["renders"] < renders:
            version += 1
            template = self._maker.template(version)
            for _ in range(min(PER_TEMPLATE, renders - self.counts["renders"])):
                self._one(template)
                if self.counts["renders"] % 50_000 == 0:
                    print(self.said(), file=sys.stderr, flush=True)

    def said(self) -> str:
        """How far it is, and what it saw."""
        return f"{dict(self.counts)}, slowest {self.slowest * 1000:.1f} ms"

    def _one(self, template: Template) -> None:
        (channel,) = template.channels
        data, user = self._maker.data(), self._maker.user()
        before = copy.deepcopy(data) if self.counts["renders"] % 16 == 0 else None
        self.counts["renders"] += 1
        took = 0.0
        try:
            started = time.thread_time()
            try:
                content = self._renderer.render(
                    template=template,
                    channel=channel,
                    user=user,
                    tenant=TENANT,
                    event_data=data,
                    workflow="w",
                    unsubscribe_url=self._maker.address(),
                    now=NOW,
                )
            finally:
                took = time.thread_time() - started
            self.counts["sent"] += 1
            problem = looked_at(content)
        except ContentError as error:
            self.counts["refused"] += 1
            problem = "a value in an error" if EVIL in str(error) else ""
        if before is not None and before != data:
            problem = "the data were changed"
        self.slowest = max(self.slowest, took)
        if took > LIMIT_S:
            problem = f"it took {took * 1000:.0f} ms"
        if problem:
            raise Escape(problem, template.channels, template.partials, data, user.profile)


def looked_at(content: AnyContent) -> str:
    """What is wrong with a message; empty when nothing is."""
    for line in (getattr(content, name, "") for name in ("subject", "title", "type", "preheader")):
        if _CONTROL.search(line) or "\n" in line or "\u2028" in line:
            return "a header of more than one line"
    texts = [getattr(content, name, "") for name in ("text", "body", "html")]
    if any(_CONTROL.search(text) or len(text) > 2 * MAX_OUTPUT for text in texts):
        return "a control character, or endless text"
    if any(_REACHED.search(text) for text in texts):
        return "a Python object"
    for url in (getattr(content, name, "") for name in ("url", "image")):
        if (
            EVIL in url
            and re.match(r"[^/?#]*:", url)
            and not re.match(r"(https?|mailto|tel):", url, re.IGNORECASE)
        ):
            return "a scheme"
    match content:
        case EmailContent():
            return ", ".join(Tags(content.html).found)
        case WebhookContent():
            json.loads(content.body)
        case PushContent() | InAppContent() | ChatContent():
            return "" if all("\n" not in a.label for a in content.actions) else "a label of two lines"
        case SmsContent() | VoiceContent():
            pass
    return ""


def main() -> None:
    """Run until the number is reached or something got through."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--renders", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    run = Run(options.seed)
    started = time.process_time()
    run.go(options.renders)
    print(f"{run.said()}, {time.process_time() - started:.0f} s of CPU: nothing got through")


if __name__ == "__main__":
    main()
