"""A translation keeps the tags of its source, and may change the words inside them."""

import pytest

from clarion.content.catalogues.placeholders import differences, protected


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("{{ a }} and {{ b }}", "{{b}} und {{  a  }}"),
        ("{{ a }}", "{{ a }}, {{ a }}"),
        ("{% if a == 'x' %}yes{% endif %}", "{% if a == 'x' %}ja{% endif %}"),
        (
            "{{ n|plural(one='item', other='items') }}",
            "{{ n|plural(one='rzecz', few='rzeczy', many='r', other='r') }}",
        ),
        ("Hi {{ name|default('friend') }}", "Hallo {{ name|default('du') }}"),
        ("{{ 'Mr' if m else 'Ms' }} {{ name }}", "{{ 'Herr' if m else 'Frau' }} {{ name }}"),
        ("{% set word = 'yes' %}{{ word }}", "{% set word = 'ja' %}{{ word }}"),
        ("plain", "schlicht"),
    ],
)
def test_the_same_tags_in_any_order_are_fine(source, target):
    """Languages differ in word order, in how often a name is said, and in their plurals."""
    assert differences(source, target, markup=False) == []


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("{{ name }}", "", "`{{ name }}` of the source is missing"),
        (
            "{{ name }}",
            "{{ name }} {{ nmae }}",
            "`{{ nmae }}` is not in the source; did you mean `{{ name }}`?",
        ),
        ("{{ d|date('full') }}", "{{ d|date('short') }}", "is missing"),
        ("{% if a == 'x' %}b{% endif %}", "{% if a == 'ja' %}b{% endif %}", "is missing"),
        ("{{ name|default(user.id) }}", "{{ name }}", "is missing"),
        ("{{ a", "{{ a }}", "is not in the source"),
    ],
)
def test_other_tags_are_named(source, target, said):
    """With the one that was probably meant."""
    assert said in "\n".join(differences(source, target, markup=False))


def test_inline_elements_are_kept_too():
    """Nobody bends a link on the way."""
    source = "See <a href='https://x.example'>it</a>"
    assert differences(source, "Siehe <a href='https://x.example'>da</a>", markup=True) == []
    assert len(differences(source, "Siehe <a href='https://evil.example'>da</a>", markup=True)) == 2
    assert differences(source, "Siehe da", markup=False) == []


def test_only_tags_without_words_can_be_locked():
    """A tool that locks the others would keep them in the source language."""
    assert protected("{{ user.name }}")
    assert protected("{{ d|date('full') }}")
    assert protected("{{ name|default('') }}")
    assert not protected("{{ name|default('friend') }}")
    assert not protected("{{ n|plural(one='a', other='b') }}")
