"""What an author hears before a template is used."""

from clarion.content import Problem, check
from clarion.model.channel import Channel
from clarion.model.setup import Template

GOOD = Template(
    key="order",
    channels={
        Channel.EMAIL: {
            "en": {"subject": "Order {{ number }}", "html": "<p>{{ user.attributes.first_name }}</p>"},
            "pt-BR": {"subject": "Pedido {{ number }}", "text": "{{ total|money('BRL') }}"},
        },
        Channel.SMS: {"en": {"text": "{{ number }}"}},
    },
    example_data={"number": "A-1", "total": 12.5},
)


def problems(fields: dict[str, str], channel: Channel = Channel.EMAIL, **rest: object) -> list[Problem]:
    return check(Template(key="t", channels={channel: {"en": fields}}, **rest))  # type: ignore[arg-type]


def test_a_good_template_has_no_problems():
    """Attributes of people nobody knows yet are taken to be there."""
    assert check(GOOD) == []


def test_every_problem_is_reported_with_field_and_line():
    """Not only the first."""
    found = problems({"subject": "x\n{{ a|uper }}", "txt": "x", "html": "{{ a.b() }}"})
    assert [(p.pointer, p.line) for p in found] == [
        ("#/channels/email/en/subject", 2),
        ("#/channels/email/en/txt", None),
        ("#/channels/email/en/html", 1),
    ]
    assert "did you mean `text`" in found[1].detail


def test_example_data_bring_missing_variables_to_light():
    """A typo is found before the first message."""
    found = problems({"subject": "{{ nubmer }}", "text": "x"}, example_data={"number": 1})
    assert [(p.pointer, p.line) for p in found] == [("#/channels/email/en/subject", 1)]
    assert "`nubmer` has no value" in found[0].detail


def test_without_example_data_sources_are_only_compiled():
    """Nobody has to write examples."""
    assert problems({"subject": "{{ number }}", "text": "x"}) == []
    assert len(problems({"subject": "{{ number", "text": "x"})) == 1


def test_a_missing_main_field_is_a_problem_even_without_example_data():
    """What can never be sent is refused when it is written."""
    assert [p.pointer for p in problems({"text": "x"})] == ["#/channels/email/en"]
    assert [p.pointer for p in problems({"subject": "x"})] == ["#/channels/email/en"]
    assert problems({"body": "{}"}, Channel.WEBHOOK) == []


def test_locales_must_be_language_tags_and_each_only_once():
    """Two spellings of one language would hide each other."""
    content = {"text": "x"}
    found = check(
        Template(key="t", channels={Channel.SMS: {"en_GB": content, "en-gb": content, "!": content}})
    )
    assert [p.pointer for p in found] == ["#/channels/sms/en-gb", "#/channels/sms/!"]


def test_a_template_without_content_is_refused():
    """No channel, or a channel without a language."""
    assert [p.pointer for p in check(Template(key="t", channels={}))] == ["#/channels"]
    found = check(Template(key="t", channels={Channel.SMS: {}}, default_locale="?"))
    assert {p.pointer for p in found} == {"#/channels/sms", "#/default_locale"}
