"""What a reply of a person asks for: to be left alone, to be written to again, or help.

A message asks for something when nothing stands in it but words for that, and politeness around them. Whatever else
speaks of leaving ("please don't stop", "we stop at noon") is for a person to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

from clarion.model.inbound import InboundVerdict
from clarion.rules.reply_words import WORDS, ReplyWords

ENGLISH = "en"
MOST_WORDS = 64
"""A longer message says more than such a word. In Japanese and Chinese each character is one."""
MOST_CHARACTERS = 4_000
"""Of a message that are read for words."""

_AROUND = "around"
_NO_SPACES = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
"""Japanese and Chinese are written without spaces: there each character is a word."""
_INSIDE_WORDS = re.compile("['\u2018\u2019\u02bc\u00b4`]")
_ASKS = (InboundVerdict.OPT_OUT, InboundVerdict.OPT_IN, InboundVerdict.HELP)

Phrases = Mapping[tuple[str, ...], frozenset[str]]
"""What each phrase may be: a verdict, or `around`."""


def verdict_of(text: str, languages: Iterable[str]) -> InboundVerdict:
    """What a message asks for, in English or one of these languages (`de`, `pt`)."""
    phrases = _phrases(frozenset(languages))
    words = words_of(text[:MOST_CHARACTERS])
    if len(words) <= MOST_WORDS:
        for verdict in _ASKS:
            if _is_only(words, phrases, verdict.value):
                return verdict
    speaks_of_it = any(
        InboundVerdict.OPT_OUT.value in phrases.get(words[start:end], ())
        for start in range(len(words))
        for end in range(start + 1, min(start + _longest(phrases), len(words)) + 1)
    )
    return InboundVerdict.UNCLEAR if speaks_of_it else InboundVerdict.OTHER


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, without case, accents, punctuation and widths that only look different."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(
        " " if not c.isalnum() else c
        for c in unicodedata.normalize("NFKD", _INSIDE_WORDS.sub("", folded))
        if unicodedata.category(c) not in ("Mn", "Cf")
    )
    return tuple(_NO_SPACES.sub(r" \1 ", plain).split())


def _is_only(words: tuple[str, ...], phrases: Phrases, wanted: str) -> bool:
    """Whether the words are phrases for what is wanted, at least one, and such as may stand around them."""
    # For each place: whether the words up to there can be read so, without and with a phrase for what is wanted.
    without, with_one = [True], [False]
    longest = _longest(phrases)
    for end in range(1, len(words) + 1):
        plain = asked = False
        for start in range(max(0, end - longest), end):
            kinds = phrases.get(words[start:end], frozenset())
            if _AROUND in kinds:
                plain, asked = plain or without[start], asked or with_one[start]
            if wanted in kinds:
                asked = asked or without[start] or with_one[start]
        without.append(plain)
        with_one.append(asked)
    return with_one[-1]


@lru_cache(maxsize=256)
def _phrases(languages: frozenset[str]) -> Phrases:
    found: dict[tuple[str, ...], set[str]] = {}
    for language in {ENGLISH, *languages} & WORDS.keys():
        words: ReplyWords = WORDS[language]
        for kind, listed in (
            (InboundVerdict.OPT_OUT.value, words.opt_out),
            (InboundVerdict.OPT_IN.value, words.opt_in),
            (InboundVerdict.HELP.value, words.help),
            (_AROUND, words.around),
        ):
            for phrase in listed.split(","):
                found.setdefault(words_of(phrase), set()).add(kind)
    return {phrase: frozenset(kinds) for phrase, kinds in found.items()}


def _longest(phrases: Phrases) -> int:
    return max(map(len, phrases))
