"""The preference page as HTML: one form that works without JavaScript, and loads nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from html import escape
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.dates import format_date, format_time, format_timedelta, get_day_names

from clarion.api.preference_form import (
    KEEP,
    MOST_SPANS,
    NONE,
    PAUSES,
    Box,
    PreferenceForm,
    Row,
    TypedHours,
    shown_boxes,
)
from clarion.api.preference_words import PREFERENCE_WORDS, PreferenceWords
from clarion.model.setup import Brand
from clarion.model.user import WEEK, DigestEvery, DigestFrequency
from clarion.rules.quiet_hours import check_zone

RIGHT_TO_LEFT = frozenset({"ar"})
FILL = "#4350c4"
_ENOUGH = 4.5
"""Contrast of text (WCAG 2.2, 1.4.3)."""

STYLE = """
:root{color-scheme:light dark;--page:light-dark(#f6f5f2,#111216);--card:light-dark(#fff,#191b21);
--line:light-dark(#e4e2db,#2a2d36);--strong:light-dark(#83817a,#777b8a);--ink:light-dark(#1b1c20,#eceef3);
--soft:light-dark(#5d5e66,#a3a7b4);--link:light-dark(#4350c4,#a3adff);--good:light-dark(#19693f,#7fd6a4);
--goodwash:light-dark(#e3f3e9,#16302a);--bad:light-dark(#b0302a,#ff9b91);--badwash:light-dark(#fbe7e4,#3a1f20);
--fill:%(fill)s;--on:%(on)s}
*{box-sizing:border-box}
body{margin:0;padding:16px;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:44rem;margin:0 auto;background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:clamp(16px,5vw,40px)}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .4rem}h2{font-size:1.15rem;line-height:1.3;margin:2rem 0 .4rem}
p{margin:.2rem 0}.soft{color:var(--soft)}ul{margin:.2rem 0;padding-inline-start:1.2rem}
fieldset{border:0;margin:0;padding:.2rem 0;min-width:0}
legend{padding:0;font-weight:650;max-width:100%%}
legend h2{border-block-start:1px solid var(--line);padding-top:1rem;margin-top:1rem}
form>fieldset>legend{width:100%%}
.set{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;align-items:start}
label{display:inline-flex;gap:.5rem;align-items:center;min-height:44px}
label.field{flex-direction:column;align-items:start;gap:.1rem;min-height:0;margin-block:.4rem;max-width:100%%}
input,select,button{font:inherit;color:inherit}
input[type=checkbox]{inline-size:24px;block-size:24px;flex:none;accent-color:var(--link)}
input:not([type=checkbox]),select{min-height:44px;max-width:100%%;padding:.3rem .6rem;background:var(--card);
border:1px solid var(--strong);border-radius:9px}
input[aria-invalid]{border:2px solid var(--bad)}
button{min-height:48px;padding:.6rem 1.4rem;border-radius:11px;cursor:pointer;font-weight:600;
border:1px solid var(--strong);background:none}
button.first{background:var(--fill);color:var(--on)}
.note,.wrong{border-radius:11px;padding:.8rem 1rem;margin:1rem 0}
.note h2,.wrong h2{margin:0 0 .2rem}
.note{background:var(--goodwash);color:var(--good)}.wrong{background:var(--badwash);color:var(--bad)}
.note form{margin-top:.6rem}.error{color:var(--bad);font-weight:550}a{color:inherit}
.acts{margin-top:1.6rem}.end{margin-top:2rem;border-block-start:1px solid var(--line);padding-top:1.2rem}
:focus-visible{outline:3px solid var(--link);outline-offset:3px;border-radius:6px}
"""


class PageNotice(NamedTuple):
    """What happened, above the form."""

    title: str
    lines: Sequence[str] = ()
    undo: str = ""
    """The token that takes it back."""
    wrong: bool = False


class PageText(NamedTuple):
    """For whom a page is written."""

    language: str
    sender: str
    brand: Brand
    languages: Sequence[str] = tuple(PREFERENCE_WORDS)

    @property
    def words(self) -> PreferenceWords:
        """The texts in its language."""
        return PREFERENCE_WORDS[self.language]


@lru_cache(maxsize=256)
def style(color: str | None) -> str:
    """The style of a tenant's pages."""
    fill = color or FILL
    return STYLE % {"fill": fill, "on": "#fff" if contrast(fill, "#ffffff") >= _ENOUGH else "#000"}


@lru_cache(maxsize=256)
def headers(color: str | None) -> tuple[tuple[bytes, bytes], ...]:
    """The page runs no script and loads nothing."""
    digest = b64encode(sha256(style(color).encode()).digest())
    policy = b"default-src 'none'; style-src 'sha256-%b'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    return (
        (b"content-security-policy", policy % digest),
        (b"x-robots-tag", b"noindex, nofollow"),
        (b"cache-control", b"no-store"),
    )


def contrast(one: str, other: str) -> float:
    """Of two colours (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def message_page(text: PageText, title: str, line: str) -> bytes:
    """A page that only says something."""
    return _page(text, title, f"<h1>{escape(title)}</h1><p role=status>{escape(line)}</p>")


def form_page(
    text: PageText, form: PreferenceForm, *, editable: bool, notice: PageNotice | None = None
) -> bytes:
    """The page with its form. Who may not change anything sees it all the same."""
    words = text.words
    sender = f"<bdi>{escape(text.sender)}</bdi>"
    off = "" if editable else " disabled"
    body = [
        f"<h1>{words.title}</h1><p class=soft>{words.intro.format(sender=sender)}</p>",
        *([] if notice is None else [_notice(words, notice)]),
        *([_errors(words, form)] if form.errors else []),
        *([] if editable else [f"<p class=wrong role=note>{words.old}</p>"]),
        f"<form method=post><fieldset{off}><legend><h2>{words.messages}</h2></legend>",
        f'<input type=hidden name=shown value="{escape(shown_boxes(form))}">',
        *(_row(text, row) for row in form.rows),
        *([_always(words, form.always)] if form.always else []),
        "</fieldset>",
    ]
    if form.topics:
        body += [f"<fieldset{off}><legend><h2>{words.topics}</h2></legend>"]
        body += [*(_row(text, row) for row in form.topics), "</fieldset>"]
    body += [
        f"<fieldset{off}><legend><h2>{words.digest}</h2></legend>{''.join(_digest(text, form))}</fieldset>",
        f"<fieldset{off}><legend><h2>{words.quiet}</h2></legend>{''.join(_quiet(text, form))}</fieldset>",
        f"<fieldset{off}><legend><h2>{words.pause}</h2></legend>{_pause(text, form)}</fieldset>",
        (
            f"<fieldset{off}><legend><h2>{words.language}, {words.zone}</h2></legend>"
            f"<div class=set>{_language(text, form)}{_zone(words, form)}</div></fieldset>"
        ),
    ]
    if editable:
        body.append(
            f"<p class=acts><button class=first name=action value=save>{words.save}</button></p></form>"
            f"<form method=post class=end><p class=soft id=stop>{words.stop_help}</p>"
            f"<button name=action value=stop aria-describedby=stop>{words.stop}</button></form>"
        )
    else:
        body.append("</form>")
    title = f"{words.errors} {words.title}" if form.errors else words.title
    return _page(text, title, "".join(body))


def until(text: PageText, form: PreferenceForm) -> str:
    """The end of the pause, on the reader's clock."""
    zone = form.timezone if check_zone(form.timezone) else "UTC"
    at = datetime.fromtimestamp((form.snoozed_until or 0) / 1_000, UTC).astimezone(ZoneInfo(zone))
    return text.words.until.format(until=escape(_moment(at, _locale(text))))


def _moment(at: datetime, locale: Locale) -> str:
    return f"{format_date(at, 'medium', locale=locale)}, {format_time(at, 'short', locale=locale)}"


def days(text: PageText, count: int) -> str:
    """So many days, in words."""
    return escape(format_timedelta(timedelta(days=count), "day", threshold=1e9, locale=_locale(text)))


def _locale(text: PageText) -> Locale:
    return Locale.parse(text.language, sep="-")


def _page(text: PageText, title: str, body: str) -> bytes:
    direction = "rtl" if text.language in RIGHT_TO_LEFT else "ltr"
    return (
        f'<!doctype html><html lang="{text.language}" dir={direction}><head><meta charset=utf-8>'
        f'<meta name=viewport content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{style(text.brand.color)}</style></head><body><main>{body}</main></body></html>"
    ).encode()


def _notice(words: PreferenceWords, notice: PageNotice) -> str:
    lines = f"<ul>{''.join(f'<li>{line}</li>' for line in notice.lines)}</ul>" if notice.lines else ""
    undo = (
        f'<form method=post><input type=hidden name=undo value="{notice.undo}">'
        f"<button name=action value=undo>{words.undo}</button></form>"
        if notice.undo
        else ""
    )
    look, role = ("wrong", "alert") if notice.wrong else ("note", "status")
    return f"<div class={look} role={role}><h2 tabindex=-1 autofocus>{notice.title}</h2>{lines}{undo}</div>"


def _errors(words: PreferenceWords, form: PreferenceForm) -> str:
    items = "".join(
        f"<li><a href=#{field}>{_error_text(words, form, field)}</a></li>" for field in form.errors
    )
    return f"<div class=wrong role=alert><h2 tabindex=-1 autofocus>{words.errors}</h2><ul>{items}</ul></div>"


def _error_text(words: PreferenceWords, form: PreferenceForm, field: str) -> str:
    said: str = getattr(words, form.errors[field])
    near = words.near.format(near=f"<bdi>{escape(form.near)}</bdi>") if form.near else ""
    return f"{said} {near}".rstrip() if field == "timezone" else said


def _wrong(words: PreferenceWords, form: PreferenceForm, field: str) -> tuple[str, str]:
    """The attributes of a field, and what stands below it, when it is wrong."""
    if field not in form.errors:
        return "", ""
    return (
        f" aria-invalid=true aria-describedby={field}-error",
        f"<span class=error id={field}-error>{_error_text(words, form, field)}</span>",
    )


def _row(text: PageText, row: Row) -> str:
    words = text.words
    described = f"<p class=soft><bdi>{escape(row.description)}</bdi></p>" if row.description else ""
    boxes = "".join(_box(words, box) for box in row.boxes)
    return (
        f"<fieldset><legend><bdi>{escape(row.title)}</bdi></legend>{described}<div class=set>{boxes}</div>"
        f"{_frequency(text, row.digest) if row.digest is not None else ''}</fieldset>"
    )


def _frequency(text: PageText, digest: DigestFrequency) -> str:
    """When the digests of a category come."""
    said = [getattr(text.words, digest.every.value)]
    if digest.every is DigestEvery.WEEKLY:
        said.append(dict(_day_names(text))[digest.day.value])
    if digest.every in (DigestEvery.DAILY, DigestEvery.WEEKLY):
        said.append(f"<bdi>{escape(digest.at)}</bdi>")
    return f"<p class=soft>{text.words.digest}: {' · '.join(said)}</p>"


def _box(words: PreferenceWords, box: Box) -> str:
    return (
        f'<label><input type=checkbox name=on value="{escape(box.name)}"{" checked" if box.on else ""}>'
        f"{getattr(words, box.channel.value)}</label>"
    )


def _always(words: PreferenceWords, names: Sequence[str]) -> str:
    listed = "".join(f"<li><bdi>{escape(name)}</bdi></li>" for name in names)
    return f"<p class=soft>{words.always}</p><ul class=soft>{listed}</ul>"


def _digest(text: PageText, form: PreferenceForm) -> Iterator[str]:
    words, chosen = text.words, form.digest
    names = [(every.value, getattr(words, every.value)) for every in DigestEvery]
    attributes, below = _wrong(words, form, "digest_at")
    yield f"<p class=soft>{words.digest_help}</p><div class=set>"
    yield _select("digest", words.digest, names, chosen.every.value)
    yield (
        f"<label class=field>{words.at}<input type=time name=digest_at id=digest_at"
        f' value="{escape(chosen.at)}"{attributes}>{below}</label>'
    )
    yield _select("digest_day", words.day, list(_day_names(text)), chosen.day.value)
    yield "</div>"


def _quiet(text: PageText, form: PreferenceForm) -> Iterator[str]:
    words = text.words
    yield f"<p class=soft>{words.quiet_help}</p>"
    free = TypedHours("", "", tuple(day.value for day in WEEK))
    spans = [*form.spans, *([free] if len(form.spans) < MOST_SPANS else [])]
    for index, span in enumerate(spans):
        attributes, below = _wrong(words, form, f"span{index}")
        boxes = "".join(
            f"<label><input type=checkbox name=days{index} value={day}"
            f"{' checked' if day in span.days else ''}>{name}</label>"
            for day, name in _day_names(text)
        )
        yield (
            f"<fieldset id=span{index}><legend>{words.span.format(n=index + 1)}</legend><div class=set>"
            f"<label class=field>{words.start}<input type=time name=start{index}"
            f' value="{escape(span.start)}"{attributes}></label>'
            f"<label class=field>{words.end}<input type=time name=end{index}"
            f' value="{escape(span.end)}"{attributes}></label></div>'
            f"<fieldset><legend class=soft>{words.days}</legend><div class=set>{boxes}</div></fieldset>"
            f"{below}</fieldset>"
        )


def _pause(text: PageText, form: PreferenceForm) -> str:
    options = [(NONE, text.words.no_pause)]
    if form.snoozed_until is not None:
        options.insert(0, (KEEP, until(text, form)))
    options += [(name, days(text, count)) for name, count in PAUSES.items()]
    return _select("pause", text.words.pause, options, form.pause)


def _language(text: PageText, form: PreferenceForm) -> str:
    options = {tag: escape(Locale.parse(tag, sep="-").get_display_name() or tag) for tag in text.languages}
    options.setdefault(form.locale, escape(form.locale))
    return _select("locale", text.words.language, list(options.items()), form.locale)


def _zone(words: PreferenceWords, form: PreferenceForm) -> str:
    attributes, below = _wrong(words, form, "timezone")
    detected = f" {words.detected}" if form.zone_by in ("device", "phone") else ""
    described = attributes or " aria-describedby=zone-help"
    return (
        f"<label class=field>{words.zone}<input name=timezone id=timezone autocomplete=off dir=ltr"
        f' value="{escape(form.timezone)}"{described}>{below}'
        f"<span class=soft id=zone-help>{words.zone_help}{detected}</span></label>"
    )


def _select(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str) -> str:
    listed = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{shown}</option>'
        for value, shown in options
    )
    return f"<label class=field>{label}<select name={name}>{listed}</select></label>"


def _day_names(text: PageText) -> Iterator[tuple[str, str]]:
    names = get_day_names("abbreviated", locale=_locale(text))
    return ((day.value, escape(names[index])) for index, day in enumerate(WEEK))
