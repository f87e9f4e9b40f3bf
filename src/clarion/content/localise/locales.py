"""Chooses the language of a template for a reader: CLDR parents, then other regions, never across scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from babel.core import get_global

TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?(?![a-z0-9])", re.IGNORECASE)
"""Language, script and region of a BCP 47 tag; what follows (variants, extensions) selects no text."""

_RIGHT_TO_LEFT = frozenset(
    {"Adlm", "Arab", "Armi", "Avst", "Hebr", "Mand", "Mend", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa", "Yezi"}
)


def canonical(tag: str) -> str:
    """`zh_hant_tw` -> `zh-Hant-TW`, `iw` -> `he`; empty when it is no language tag at all."""
    match = TAG.match(tag)
    if match is None:
        return ""
    language, script, region = (part or "" for part in match.groups())
    modern = _split(get_global("language_aliases").get(language.lower(), language.lower()))
    return _join(modern[0], script.title() or modern[1], region.upper() or modern[2])


@lru_cache(maxsize=4096)
def fallbacks(tag: str) -> tuple[str, ...]:
    """The locales a reader of `tag` understands, best first: `es-MX` -> `es-MX`, `es-419`, `es`, ...

    All are written in the reader's script: `zh-Hant` never falls to `zh`, which is simplified, nor `sr-Latn` to `sr`.
    """
    start = canonical(tag)
    if not start:
        return ()
    script, language = _script(start), _split(start)[0]
    home = _split(_likely(_join(language, script, "")) or _likely(language))[2]
    homes = [_join(language, "", home), _join(language, script, home)]
    return tuple(dict.fromkeys([*_lineage(start), *(one for one in homes if _script(one) == script)]))


def choose(available: Iterable[str], *wanted: str) -> str | None:
    """The entry of `available` that serves the first of `wanted` it can, else its first entry; None when empty."""
    by_tag: dict[str, str] = {}
    for locale in available:
        by_tag.setdefault(canonical(locale) or locale, locale)
    for tag in wanted:
        for candidate in _lineage(canonical(tag)):
            if candidate in by_tag:
                return by_tag[candidate]
        if sibling := _sibling(tag, by_tag):
            return by_tag[sibling]
    return next(iter(by_tag.values()), None)


def language_of(tag: str) -> str:
    """`pt-BR` -> `pt`; `nb` and `nn` -> `no`, which CLDR has as their parent."""
    return _family(canonical(tag).partition("-")[0])


@lru_cache(maxsize=1024)
def spoken(tag: str) -> str:
    """As voices are named, with a region: `en-GB` as it is, `de` -> `de-DE`."""
    language, script, region = _split(canonical(tag))
    home = region or _split(_likely(_join(language, script, "")) or _likely(language))[2]
    return _join(language, "", home)


def direction_of(tag: str) -> str:
    """`rtl` for locales written from right to left, else `ltr`."""
    return "rtl" if _script(canonical(tag)) in _RIGHT_TO_LEFT else "ltr"


def _sibling(tag: str, available: Iterable[str]) -> str:
    """The nearest of `available` in the same language and script, whatever its region; empty when there is none."""
    start = canonical(tag)
    if not start:
        return ""
    script, language, lineage = _script(start), language_of(start), _lineage(start)
    usual = {*fallbacks(start), *_USUAL}
    alike = [one for one in available if language_of(one) == language and _script(one) == script]
    return min(
        alike, key=lambda one: (_distance(lineage, one), usual.isdisjoint((one, _split(one)[0]))), default=""
    )


_USUAL = frozenset({"nb"})
"""What most people mean by the name of a family (`no`)."""


def _distance(lineage: Sequence[str], tag: str) -> int:
    """How far up the ancestors of a reader the first stands that `tag` has too."""
    own = set(_lineage(tag))
    return next((number for number, ancestor in enumerate(lineage) if ancestor in own), len(lineage))


@lru_cache(maxsize=4096)
def _lineage(tag: str) -> tuple[str, ...]:
    """A canonical tag and its parents, in its own script, named or not."""
    language, _, region = _split(tag)
    script = _script(tag)
    candidates = [*_ancestors(tag), *_ancestors(_join(language, script, region))]
    return tuple(dict.fromkeys(one for one in candidates if _script(one) == script))


def _family(language: str) -> str:
    parents: Mapping[str, str] = get_global("parent_exceptions")
    parent = parents.get(language, "")
    return parent if parent.isalpha() and parent != "root" else language


def _ancestors(tag: str) -> Iterator[str]:
    parents: Mapping[str, str] = get_global("parent_exceptions")
    seen: set[str] = set()
    while tag and tag not in seen:
        seen.add(tag)
        yield tag
        parent = parents.get(tag.replace("-", "_"))
        tag = tag.rpartition("-")[0] if parent is None else parent.replace("_", "-")


def _script(tag: str) -> str:
    """The script a tag is written in, named or likely (`zh-TW`: Hant); empty when nobody knows."""
    language, script, region = _split(tag)
    return script or _split(_likely(_join(language, "", region)) or _likely(language))[1]


def _likely(tag: str) -> str:
    likely: Mapping[str, str] = get_global("likely_subtags")
    return likely.get(tag.replace("-", "_"), "").replace("_", "-")


def _split(tag: str) -> tuple[str, str, str]:
    match = TAG.match(tag)
    language, script, region = match.groups() if match else ("", "", "")
    return language or "", script or "", region or ""


def _join(language: str, script: str, region: str) -> str:
    return "-".join(part for part in (language, script, region) if part)
