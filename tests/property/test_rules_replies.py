"""Opt-outs are understood however they are spelt, and nothing else is taken for one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.inbound import InboundVerdict
from clarion.rules.replies import MOST_WORDS, verdict_of, words_of
from clarion.rules.reply_words import WORDS

OPT_OUT, OPT_IN, HELP, UNCLEAR, OTHER = InboundVerdict
FCC = ("stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe")


def listed(phrases: str) -> list[str]:
    """The phrases of a line of the data."""
    return [phrase.strip() for phrase in phrases.split(",")]


languages = st.sampled_from(sorted(WORDS))


@st.composite
def phrases(draw, kind):
    """A language and one of its phrases of a kind, between words of that language that change nothing."""
    language = draw(languages)
    words = WORDS[language]
    around = st.lists(st.sampled_from(listed(words.around)), max_size=2)
    parts = [*draw(around), draw(st.sampled_from(listed(getattr(words, kind)))), *draw(around)]
    return language, " ".join(parts)


def wide(text: str) -> str:
    """The same in full-width letters, as some keyboards write."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


spellings = st.sampled_from(
    [
        str,
        str.upper,
        str.title,
        wide,
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: unicodedata.normalize("NFC", text),
        lambda text: f"  {text}!!! ",
        lambda text: f"\u201c{text}\u201d.",
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: f"{text}\u200b \U0001f6d1",
        lambda text: ", ".join(text.split(" ")),
    ]
)


@given(phrases("opt_out"), spellings, spellings)
def test_an_opt_out_is_understood_in_every_spelling(phrase, spell, again):
    """Case, width, accents, punctuation, emoji and politeness change nothing."""
    language, text = phrase
    assert verdict_of(again(spell(text)), [language]) is OPT_OUT


@given(phrases("opt_in"), spellings)
def test_an_opt_in_is_understood_in_every_spelling(phrase, spell):
    """Likewise; a word that is also an opt-out is one: in doubt nothing is sent."""
    language, text = phrase
    assert verdict_of(spell(text), [language]) in (OPT_IN, OPT_OUT)


@given(phrases("help"), spellings)
def test_help_is_understood_in_every_spelling(phrase, spell):
    """Likewise."""
    language, text = phrase
    assert verdict_of(spell(text), [language]) is HELP


@given(phrases("opt_out"), st.sampled_from(["window", "tomorrow", "bus", "train", "zzz"]), st.booleans())
def test_a_sentence_with_an_opt_out_in_it_is_for_a_person(phrase, word, before):
    """A word that belongs to none of it makes the meaning unclear."""
    language, text = phrase
    said = f"{word} {text}" if before else f"{text} {word}"
    assert verdict_of(said, [language]) is UNCLEAR


@given(st.text(max_size=300), st.sets(st.sampled_from([*sorted(WORDS), "xx", ""]), max_size=4))
def test_any_text_has_a_verdict(text, spoken):
    """Whatever stands in it."""
    assert verdict_of(text, spoken) in InboundVerdict


@given(st.text(alphabet=st.characters(whitelist_categories=["P", "S", "Zs"]), max_size=50))
def test_what_has_no_words_asks_for_nothing(text):
    """Emoji and punctuation alone opt nobody out."""
    if not words_of(text):
        assert verdict_of(text, WORDS) is OTHER


@pytest.mark.parametrize("word", FCC)
@pytest.mark.parametrize("language", sorted(WORDS))
def test_the_words_of_the_law_count_in_every_language(word, language):
    """47 CFR 64.1200(a)(10) names them."""
    assert verdict_of(word, [language]) is OPT_OUT
    assert verdict_of(word.upper(), []) is OPT_OUT


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Please stop texting me!", OPT_OUT),
        ("STOP ALL messages now, thank you", OPT_OUT),
        ("Don\u2019t text me any more", OPT_OUT),
        ("Take me off the list", OPT_OUT),
        ("ich widerrufe", OPT_OUT),
        ("Arrêtez s'il vous plaît", OPT_OUT),
        ("配信停止してください", OPT_OUT),
        ("İPTAL", OPT_OUT),
        ("please don't stop", UNCLEAR),
        ("Do not cancel", UNCLEAR),
        ("no, don't unsubscribe me", UNCLEAR),
        ("The bus will stop at noon", UNCLEAR),
        ("cancel my order please", UNCLEAR),
        ("stop start", UNCLEAR),
        ("help me stop", UNCLEAR),
        ("nonstop", OTHER),
        ("the endless weekend", OTHER),
        ("thanks!", OTHER),
        ("", OTHER),
        ("START", OPT_IN),
        ("unstop please", OPT_IN),
        ("INFO", HELP),
        ("Can you help with my order?", OTHER),
        ("stop " * (MOST_WORDS + 1), UNCLEAR),
    ],
)
def test_what_people_write(text, verdict):
    """Read in English, German, French, Japanese and Turkish."""
    assert verdict_of(text, ["de", "fr", "ja", "tr"]) is verdict


def test_words_of_a_language_that_nobody_speaks_here_do_not_count():
    """`fin` ends it in Spanish; for others it says nothing."""
    assert (verdict_of("fin", ["es"]), verdict_of("fin", ["de"])) == (OPT_OUT, OTHER)
