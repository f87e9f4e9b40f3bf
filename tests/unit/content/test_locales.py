"""From a reader's language to the text they get."""

import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from clarion.content.localise.locales import _script, canonical, choose, direction_of, fallbacks, language_of

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


PARENTS = {
    child.replace("_", "-"): parent.replace("_", "-")
    for child, parent in get_global("parent_exceptions").items()
}
"""CLDR's table of parents that are not what is left when the end is cut off, as Babel ships it: without the root."""
ROOTED = [
    "az-Arab",
    "az-Cyrl",
    "bal-Latn",
    "blt-Latn",
    "bs-Cyrl",
    "byn-Latn",
    "cu-Glag",
    "dje-Arab",
    "en-Dsrt",
    "en-Shaw",
    "ff-Adlm",
    "ff-Arab",
    "ha-Arab",
    "iu-Latn",
    "kk-Arab",
    "ks-Deva",
    "ky-Arab",
    "ky-Latn",
    "ml-Arab",
    "mn-Mong",
    "mni-Mtei",
    "ms-Arab",
    "pa-Arab",
    "sat-Deva",
    "sd-Deva",
    "so-Arab",
    "sr-Latn",
    "sw-Arab",
    "tg-Arab",
    "uz-Arab",
    "uz-Cyrl",
    "vai-Latn",
    "wo-Arab",
    "yo-Arab",
    "yue-Hans",
    "zh-Hant",
]
"""Of the same table of CLDR: those whose parent is the root."""


def test_the_table_is_that_of_cldr():
    """Babel ships it: the examples everybody knows are in it."""
    known = {"es-MX": "es-419", "pt-AO": "pt-PT", "en-AU": "en-001", "en-DE": "en-150"}
    assert known.items() <= PARENTS.items()
    assert len(PARENTS) > 100


@pytest.mark.parametrize("tag", ROOTED)
def test_a_locale_whose_parent_is_the_root_never_gets_its_bare_language(tag):
    """That is written in another script."""
    language = tag.partition("-")[0]
    assert language not in fallbacks(tag)
    assert choose([language, "fr"], tag, "fr") == "fr"


@pytest.mark.parametrize(("child", "parent"), sorted(PARENTS.items()))
def test_every_parent_of_cldr_comes_next(child, parent):
    """Unless it is in another script."""
    chain = fallbacks(child)
    start = canonical(child)
    assert chain[0] == start
    if _script(canonical(parent)) == _script(start):
        assert chain[1] == canonical(parent)
        assert choose(["xx", parent], child) == parent
    else:
        assert canonical(parent) not in chain


@pytest.mark.parametrize(
    ("available", "wanted", "chosen"),
    [
        (["en", "es", "es-419"], ("es-MX", "en"), "es-419"),
        (["en", "es"], ("es-MX", "en"), "es"),
        (["en", "pt", "pt-PT"], ("pt-AO", "en"), "pt-PT"),
        (["en", "zh", "zh-Hans"], ("zh-TW", "en"), "en"),
        (["en", "sr"], ("sr-Latn-RS", "en"), "en"),
        (["en-US", "en-001", "en"], ("en-AU",), "en-001"),
        (["de", "fr"], ("ja", "fr-CA", "de"), "fr"),
        (["de", "fr"], ("", "", "fr"), "fr"),
        (["de", "fr"], ("ja", "ko", "it"), "de"),
    ],
)
def test_the_reader_comes_first_then_the_tenant_then_the_template(available, wanted, chosen):
    """Each with all its parents, before the next is asked."""
    assert choose(available, *wanted) == chosen


@pytest.mark.parametrize(
    ("tag", "direction"),
    [
        ("ar", "rtl"),
        ("he-IL", "rtl"),
        ("fa", "rtl"),
        ("ur", "rtl"),
        ("en", "ltr"),
        ("uz-Arab", "rtl"),
        ("az", "ltr"),
        ("?", "ltr"),
    ],
)
def test_the_direction_is_that_of_the_script(tag, direction):
    """Not of the language alone."""
    assert direction_of(tag) == direction


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


@pytest.mark.parametrize(
    ("there", "reader", "gets"),
    [
        (["en", "nb"], "no", "nb"),
        (["en", "nn", "nb"], "no", "nb"),
        (["en", "nn"], "no-NO", "nn"),
        (["en", "no"], "nb", "no"),
        (["en", "nn"], "nb-NO", "nn"),
        (["en", "nb-NO"], "nn", "nb-NO"),
        (["en", "nb", "no"], "nn", "no"),
        (["en", "da"], "nb", "en"),
        (["en", "fr-CA"], "fr", "fr-CA"),
        (["en", "fr-CA"], "fr-FR", "fr-CA"),
        (["de", "en-US", "en-GB"], "en-AU", "en-GB"),
        (["de", "en-GB"], "en-US", "en-GB"),
        (["en", "pt-PT"], "pt-BR", "pt-PT"),
        (["en", "pt-BR", "pt-PT"], "pt-AO", "pt-PT"),
        (["en", "pt-BR"], "pt-AO", "pt-BR"),
        (["en", "es-ES", "es-AR"], "es-MX", "es-AR"),
        (["en", "es-MX"], "es-419", "es-MX"),
        (["en", "es-MX"], "es", "es-MX"),
        (["en", "zh-TW"], "zh-HK", "zh-TW"),
        (["en", "zh-HK"], "zh-TW", "zh-HK"),
        (["en", "zh-HK"], "zh-Hant", "zh-HK"),
        (["en", "zh-CN"], "zh-TW", "en"),
        (["en", "zh-TW"], "zh-SG", "en"),
        (["en", "zh-SG"], "zh", "zh-SG"),
        (["en", "sr-Latn-RS"], "sr-ME", "sr-Latn-RS"),
        (["en", "sr-Latn"], "sr", "en"),
        (["en", "sr-Cyrl-BA"], "sr", "sr-Cyrl-BA"),
        (["en", "he"], "iw-IL", "he"),
        (["en", "iw"], "he", "iw"),
        (["en", "in"], "id-ID", "in"),
        (["en", "fil"], "tl", "fil"),
        (["en", "tl"], "fil-PH", "tl"),
        (["en", "ar-EG"], "ar-MA", "ar-EG"),
    ],
)
def test_another_region_of_the_readers_language_comes_before_another_language(there, reader, gets):
    """The nearest by CLDR's parents; in the same script; `no`, `nb` and `nn` are one family."""
    assert choose(there, reader, "en", "de") == gets


@given(TAGS, st.lists(TAGS, max_size=5))
def test_who_has_a_text_in_their_language_and_script_gets_one(reader, there):
    """Whatever the regions are."""
    found = choose(there, reader)
    alike = [
        t for t in there if language_of(t) == language_of(reader) and _script(t) == _script(canonical(reader))
    ]
    if alike and canonical(reader) and found is not None:
        assert language_of(found) == language_of(reader)
