"""From a reader's language to the text they get."""

import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from clarion.content.locales import _script, canonical, choose, fallbacks, language_of

LANGUAGES = st.sampled_from(sorted({tag.split("_")[0] for tag in get_global("likely_subtags")} - {"und"}))
SCRIPTS = st.sampled_from(["", "Hant", "Hans", "Latn", "Cyrl", "Arab"])
REGIONS = st.sampled_from(["", "TW", "HK", "CN", "MX", "419", "001", "RS", "ME", "IN", "AO", "US"])
TAGS = st.builds(lambda *parts: "-".join(filter(None, parts)), LANGUAGES, SCRIPTS, REGIONS)


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("zh_hant_tw", "zh-Hant-TW"),
        ("EN-us", "en-US"),
        ("en_US.UTF-8", "en-US"),
        ("de-DE-1996", "de-DE"),
        ("en-u-ca-buddhist", "en"),
        ("es-419", "es-419"),
        ("iw", "he"),
        ("in-ID", "id-ID"),
        ("sh", "sr-Latn"),
        ("", ""),
        ("x", ""),
        ("english", ""),
        ("12", ""),
        ("../etc", ""),
    ],
)
def test_a_tag_is_brought_to_its_usual_form(written, tag):
    """Case, separators and old codes do not matter; what is no tag is nothing."""
    assert canonical(written) == tag


@pytest.mark.parametrize(
    ("tag", "best_first"),
    [
        ("es-MX", ["es-MX", "es-419", "es"]),
        ("pt-AO", ["pt-AO", "pt-PT", "pt"]),
        ("en-DE", ["en-DE", "en-150", "en-001", "en"]),
        ("en-AU", ["en-AU", "en-001", "en"]),
        ("zh-TW", ["zh-TW", "zh-Hant-TW", "zh-Hant"]),
        ("zh-Hant-MO", ["zh-Hant-MO", "zh-Hant-HK", "zh-Hant"]),
        ("zh-CN", ["zh-CN", "zh", "zh-Hans-CN", "zh-Hans"]),
        ("nb-NO", ["nb-NO", "nb", "no"]),
    ],
)
def test_the_parents_are_those_of_cldr(tag, best_first):
    """Not merely what is left when the end is cut off."""
    assert list(fallbacks(tag))[: len(best_first)] == best_first


@given(TAGS)
def test_a_fallback_never_changes_the_script(tag):
    """Whoever reads one script is never sent the other: `zh-Hant` gets no `zh`, `sr-Latn` no `sr`."""
    script = _script(canonical(tag))
    assert {_script(fallback) for fallback in fallbacks(tag)} <= {script}


@given(REGIONS)
def test_traditional_chinese_never_falls_to_chinese(region):
    """Whatever the region."""
    tag = f"zh-Hant-{region}" if region else "zh-Hant"
    assert "zh" not in fallbacks(tag)
    assert choose(["zh", "en"], tag, "en") == "en"


@given(TAGS)
def test_a_reader_first_gets_exactly_what_they_asked_for(tag):
    """The first fallback is the tag itself, and none comes twice."""
    chain = fallbacks(tag)
    assert chain[0] == canonical(tag)
    assert len(set(chain)) == len(chain)


@given(st.text(max_size=20), st.lists(st.text(max_size=8)))
def test_any_text_can_be_asked_for(asked, available):
    """A profile may hold anything; the choice is one of what there is, or None when there is nothing."""
    assert choose(available, asked) in (available or [None])


def test_a_template_may_write_its_tags_in_any_form():
    """The choice names the template's own key."""
    assert choose(["EN_gb", "zh_hant"], "zh-TW") == "zh_hant"
    assert choose(["pt-BR"], "pt-PT") == "pt-BR"
    assert choose(["fr", "de"], "ja", "", "de") == "de"
    assert choose(["fr", "de"], "ja") == "fr"
    assert choose([], "en") is None


def test_the_language_of_a_tag_is_its_first_part():
    """In its modern form."""
    assert (language_of("pt_BR"), language_of("iw"), language_of("?")) == ("pt", "he", "")
