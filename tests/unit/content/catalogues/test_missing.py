"""What is not translated yet, counted in fields."""

from clarion.content.catalogues import report, summary
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.unit.content.catalogues.world import ORDER


def test_a_report_names_template_channel_and_field():
    """And what readers of the language get until then."""
    found = report([ORDER], "de")
    assert (found.fields, found.missing, found.percent) == (4, 2, 50.0)
    email, push = found.templates[0].channels
    assert (email.missing, email.served) == ((), "de")
    assert (push.missing, push.served) == (("title", "body"), "en")


def test_a_region_is_counted_by_itself_and_says_who_stands_in():
    """es-MX without words of its own reads es-419's or es's."""
    found = report(
        [Template(key="t", channels={Channel.SMS: {"en": {"text": "a"}, "es": {"text": "b"}}})], "es-MX"
    )
    assert (found.missing, found.templates[0].channels[0].served) == (1, "es")


def test_what_lacks_most_comes_first():
    """That is where to begin."""
    done = Template(key="a", channels={Channel.SMS: {"en": {"text": "a"}, "de": {"text": "b"}}})
    assert [one.template for one in report([done, ORDER], "de").templates] == ["order", "a"]


def test_nothing_to_translate_is_all_translated():
    """No division by nothing."""
    assert report([], "de").percent == 100.0
    assert (
        report([Template(key="t", channels={Channel.SMS: {"en": {"text": "{{ a }}"}}})], "de").percent
        == 100.0
    )


def test_almost_everything_is_not_everything():
    """99.96 % is no 100."""
    many = [
        Template(key=f"t{n}", channels={Channel.SMS: {"en": {"text": "a"}, "de": {"text": "b"}}})
        for n in range(2000)
    ]
    many.append(Template(key="left", channels={Channel.SMS: {"en": {"text": "a"}}}))
    assert report(many, "de").percent == 99.9


def test_every_language_in_use_or_required_has_a_line():
    """However its tag is written."""
    mixed = Template(key="t", channels={Channel.SMS: {"en": {"text": "a"}, "pt_BR": {"text": "b"}}})
    assert [(one.locale, one.missing) for one in summary([mixed], ["fr", "pt-br"])] == [
        ("en", 0),
        ("fr", 1),
        ("pt-BR", 0),
    ]
