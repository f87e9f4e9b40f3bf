"""What an author hears before a template is used."""

import json

import pytest
from msgspec import structs

from clarion.content import Code, Finding, Severity, review
from clarion.content.templates.builtin_layouts import BUILTIN_LAYOUTS, EMAIL
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.unit.content.people import TENANT

GOOD = Template(
    key="order",
    channels={
        Channel.EMAIL: {
            "en": {
                "subject": "Order {{ number }}",
                "html": "<p>{{ user.attributes.first_name }}</p>",
                "text": "Dear {{ user.attributes.first_name }}",
            },
            "pt-BR": {"subject": "Pedido {{ number }}", "text": "{{ total|money('BRL') }}"},
        },
        Channel.SMS: {"en": {"text": "{{ number }}"}},
    },
    example_data={"number": "A-1", "total": 12.5},
)


def findings(fields: dict[str, str], channel: Channel = Channel.EMAIL, **rest: object) -> list[Finding]:
    """Of a template in English; without examples unless `rest` has some."""
    tenant = rest.pop("tenant", TENANT)
    opt_out = rest.pop("opt_out", False)
    template = Template(key="t", channels={channel: {"en": fields}}, **rest)  # type: ignore[arg-type]
    return list(review(template, tenant, opt_out=opt_out))  # type: ignore[arg-type]


def errors(fields: dict[str, str], channel: Channel = Channel.EMAIL, **rest: object) -> list[Finding]:
    return [f for f in findings(fields, channel, **rest) if f.severity is Severity.ERROR]


def mail(html: str, *, opt_out: bool = False) -> list[tuple[Code, int | None]]:
    """Codes and lines for the HTML of an email that is otherwise fine."""
    fields = {"subject": "S", "text": "T", "html": html}
    return [(f.code, f.line) for f in findings(fields, example_data={"v": "x"}, opt_out=opt_out)]


def test_a_good_template_has_no_findings():
    """Attributes of people nobody knows yet are taken to be there."""
    assert review(GOOD, TENANT, opt_out=False) == []


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_problem_is_reported_with_field_and_line():
    """Not only the first."""
    found = errors({"subject": "x\n{{ a|uper }}", "txt": "x", "html": "{{ a.b() }}"})
    assert [(f.pointer, f.line, f.code) for f in found] == [
        ("#/channels/email/en/subject", 2, Code.UNKNOWN_FILTER),
        ("#/channels/email/en/txt", None, Code.UNKNOWN_FIELD),
        ("#/channels/email/en/html", 1, Code.UNKNOWN_FUNCTION),
    ]
    assert "did you mean `text`" in found[1].detail


@pytest.mark.parametrize(
    ("source", "code", "hint"),
    [
        ("{{ v|uper }}", Code.UNKNOWN_FILTER, "did you mean `upper`"),
        ("{{ rage(3) }}", Code.UNKNOWN_FUNCTION, "did you mean `range`"),
        ("{{ v is defind }}", Code.UNKNOWN_TEST, "did you mean `defined`"),
        ("{% fro x in v %}", Code.UNKNOWN_STATEMENT, "there are"),
        ("{{ vv }}", Code.UNKNOWN_VARIABLE, "did you mean `v`"),
        ("{% include 'clarion/emial' %}", Code.UNKNOWN_PARTIAL, "did you mean `clarion/email`"),
        ("{% include 'a' %}", Code.PARTIAL_CYCLE, "circle"),
        ("{{ v", Code.SYNTAX, "never closed"),
        ("{% if v %}", Code.SYNTAX, "unexpected end"),
        ("{{ v - 1 }}", Code.RENDERING, "cannot be computed"),
        ("{{ v|money('EUR') }}", Code.RENDERING, "`money` needs a number"),
        (
            "{% for i in range(1000) %}{% for j in range(1000) %}x{% endfor %}{% endfor %}",
            Code.LIMIT,
            "steps",
        ),
    ],
)
def test_every_kind_of_error_has_its_code_line_and_hint(source, code, hint):
    """So a page can show it where it is, and a program knows it."""
    partials = {"a": "{% include 'a' %}"}
    found = errors({"text": "\n\n" + source}, Channel.SMS, example_data={"v": "x"}, partials=partials)
    (finding,) = found
    assert (finding.code, hint in finding.detail) == (code, True)
    assert finding.line == (1 if finding.pointer == "#/partials/a" else 3)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ nubmer }}", "did you mean `number`"),
        ("{% if never %}{{ x }}{% endif %}", "`never`"),
        ("{% if false %}{{ nubmer }}{% endif %}", "did you mean `number`"),
        ("{{ data.nubmer }}", "`data.nubmer` is not among the names of `data`"),
        ("{{ order.itms }}", "`order.itms` is not among the names of `order`; did you mean `items`"),
        ("{{ data['order']['itms'] }}", "did you mean `items`"),
        ("{% if false %}{{ user.name }}{% endif %}", "`user.name` is not among the names of `user`"),
        ("{% if false %}{{ tenant.nam }}{% endif %}", "did you mean `name`"),
        ("{% for i in itmes %}{{ i }}{% endfor %}", "`itmes`"),
        ("{{ number|default(nubmer) }}", "`nubmer`"),
    ],
)
def test_a_name_that_nobody_has_is_found_even_where_the_example_does_not_come(source, said):
    """In the event, in objects of it, and in what Clarion adds."""
    example = {"number": 1, "order": {"items": []}}
    found = errors({"text": "\n" + source}, Channel.SMS, example_data=example)
    assert said in found[0].detail
    assert (found[0].code, found[0].line) == (Code.UNKNOWN_VARIABLE, 2)


@pytest.mark.parametrize(
    "source",
    [
        "{{ nickname|default('you') }}",
        "{% if nickname is defined %}{{ nickname }}{% endif %}",
        "{% set nickname = 1 %}{{ nickname }}",
        "{% for nickname in order.items %}{{ nickname.name }}{{ loop.index }}{% endfor %}",
        "{{ order.free.any }}{{ user.attributes.any }}{{ unsubscribe_url }}{{ tenant.key }}{{ range(3) }}",
        "{{ order.items|map(attribute='name')|join }}",
        "{{ more }}{{ data.deep.er }}",
    ],
)
def test_names_that_are_known_or_optional_are_fine(source):
    """From the example, from the schema, from the source itself, or with a default."""
    schema = {
        "allOf": [{"properties": {"more": {}}}],
        "properties": {"deep": {"properties": {"er": {}}}, "order": {"properties": {"free": {}}}},
    }
    example = {"order": {"items": [{"name": 1}], "free": {"any": 1}}, "more": 1, "deep": {"er": 1}}
    assert errors({"text": "x" + source}, Channel.SMS, example_data=example, data_schema=schema) == []


def test_a_name_of_the_schema_must_still_be_in_the_example_or_optional():
    """Else the first event without it fails."""
    found = errors(
        {"text": "{{ a }}"}, Channel.SMS, example_data={"b": 1}, data_schema={"properties": {"a": {}}}
    )
    assert [(f.code, f.line) for f in found] == [(Code.UNKNOWN_VARIABLE, 1)]


def test_without_example_and_schema_names_are_not_checked_and_that_is_noted():
    """Nobody has to write examples."""
    (note,) = findings({"subject": "{{ number }}", "text": "x"})
    assert (note.severity, note.code) == (Severity.NOTE, Code.UNCHECKED)
    assert findings({"subject": "{{ user.id }}", "text": "x"}) == []
    assert len(errors({"subject": "{{ number", "text": "x"})) == 1


def test_a_missing_main_field_is_an_error_even_without_example_data():
    """What can never be sent is refused when it is written."""
    assert [(f.pointer, f.code) for f in findings({"text": "x"})] == [
        ("#/channels/email/en", Code.MISSING_FIELD)
    ]
    assert [f.pointer for f in findings({"subject": "x"})] == ["#/channels/email/en"]
    assert [f.pointer for f in errors({"text": "{{ x }}"})] == ["#/channels/email/en"]
    assert findings({"body": "{}"}, Channel.WEBHOOK) == []


def test_locales_must_be_language_tags_and_each_only_once():
    """Two spellings of one language would hide each other."""
    content = {"text": "x"}
    template = Template(key="t", channels={Channel.SMS: {"en_GB": content, "en-gb": content, "!": content}})
    found = review(template, TENANT)
    assert [(f.pointer, f.code) for f in found] == [
        ("#/channels/sms/en-gb", Code.LOCALE_TAG),
        ("#/channels/sms/!", Code.LOCALE_TAG),
    ]


def test_a_template_without_content_is_refused():
    """No channel, or a channel without a language."""
    assert [f.pointer for f in review(Template(key="t", channels={}), TENANT)] == ["#/channels"]
    found = review(Template(key="t", channels={Channel.SMS: {}}, default_locale="?"), TENANT)
    assert {f.pointer for f in found} == {"#/channels/sms", "#/default_locale"}


def test_locales_that_the_tenant_requires_must_be_there_in_every_channel():
    """In any spelling."""
    tenant = structs.replace(TENANT, required_locales=("en", "pt_br"))
    found = review(GOOD, tenant)
    assert [(f.pointer, f.code) for f in found] == [("#/channels/sms", Code.MISSING_LOCALE)]
    assert "`pt_br`" in found[0].detail


def test_a_text_message_may_not_take_more_segments_than_the_tenant_allows():
    """For the example; 0 allows any number."""
    tenant = structs.replace(TENANT, sms_segments=1)
    fields, example = {"text": "{{ v }}"}, {"v": "x" * 161}
    (found,) = findings(fields, Channel.SMS, example_data=example, tenant=tenant)
    assert (found.severity, found.code) == (Severity.ERROR, Code.SMS_SEGMENTS)
    assert "takes 2 segments" in found.detail
    assert findings(fields, Channel.SMS, example_data=example) == []


def test_a_push_may_not_be_bigger_than_push_services_take():
    """3,993 bytes of JSON for the example as it is sent: 4,096 less what encryption adds."""
    fields = {"title": "T", "body": "{{ v }}"}
    assert findings(fields, Channel.PUSH, example_data={"v": "x" * 3850}) == []
    assert [one.code for one in findings(fields, Channel.PUSH, example_data={"v": "x" * 3950})] == [
        Code.PUSH_SIZE
    ]
    (found,) = findings(fields, Channel.PUSH, example_data={"v": "é" * 2100})
    assert (found.severity, found.code, found.pointer) == (
        Severity.ERROR,
        Code.PUSH_SIZE,
        "#/channels/push/en",
    )


def test_how_a_phone_shows_a_push_is_checked_with_the_example():
    """Names, values and size: nothing of it is found out only when it is sent."""
    example = {"n": 3, "long": "x" * 3900}
    good = '{"badge": {{ n|tojson }}, "sound": "default", "interruption_level": "passive"}'
    assert findings({"title": "T", "device": good}, Channel.PUSH, example_data=example) == []
    for wrong, said in (
        ('{"badge": -1}', ">= 0"),
        ('{"badge": "all"}', "Invalid enum value"),
        ('{"colour": "red"}', "colour"),
        ('{"interruption_level": "loud"}', "loud"),
        ("{{ n }}", "object"),
        ("badge", "JSON object like"),
    ):
        (found,) = findings({"title": "T", "device": wrong}, Channel.PUSH, example_data=example)
        assert found.severity is Severity.ERROR
        assert said in found.detail
    big = '{"subtitle": {{ long|tojson }}, "thread_id": {{ long|tojson }}}'
    assert [
        one.code for one in findings({"title": "T", "device": big}, Channel.PUSH, example_data=example)
    ] == [Code.PUSH_SIZE]


def test_how_a_phone_shows_a_live_resource_is_checked_with_the_example():
    """Names and values, and the size of a Live Activity that shows the state itself."""
    good = '{"attributes_type": "Order", "attributes": {"n": {{ n|tojson }}}, "progress": 0.5, "segments": [1, 2]}'
    fields, example = {"title": "T", "live": good}, {"n": 3}
    assert findings(fields, Channel.PUSH, example_data=example) == []
    for wrong, said in (
        ('{"progress": 2}', "<= 1"),
        ('{"attribute_type": "Order"}', "attribute_type"),
        ('{"segments": [0]}', ">= 1"),
        ("{{ n }}", "object"),
    ):
        (found,) = findings({"title": "T", "live": wrong}, Channel.PUSH, example_data=example)
        assert found.severity is Severity.ERROR
        assert said in found.detail
    (found,) = findings(fields, Channel.PUSH, example_data={"n": 3, "unused": "x" * 4_000})
    assert found.code is Code.PUSH_SIZE


def test_names_that_push_services_keep_are_refused_in_data():
    """FCM refuses the whole message, and `aps` is what APNs shows."""
    for name in ("aps", "from", "google.x"):
        fields = {"title": "T", "data": '{"NAME": {{ v|tojson }}}'.replace("NAME", name)}
        (found,) = findings(fields, Channel.PUSH, example_data={"v": "1"})
        assert (found.code, found.pointer) == (Code.PUSH_DATA, "#/channels/push/en/data")
        assert f"`{name}`" in found.detail


MJML = "<mjml>\n<mj-body>\n<mj-section>\n<mj-column>\n{}\n</mj-column></mj-section></mj-body></mjml>"


@pytest.mark.parametrize(
    ("inside", "code", "line"),
    [
        ("<mj-txt>a</mj-txt>", Code.MJML, 5),
        ("<mj-text>a", Code.MJML, 6),
        ("<mj-include path='x'/>", Code.MJML, 5),
        ("\n<mj-text>{{ a|uper }}</mj-text>", Code.UNKNOWN_FILTER, 6),
        ("\n<mj-text>{{ nothing }}</mj-text>", Code.UNKNOWN_VARIABLE, 6),
        ("<mj-text>{% include 'no' %}</mj-text>", Code.UNKNOWN_PARTIAL, 5),
        ("<mj-image width='{{ v }}px' alt='' src='x' />", Code.MJML, 5),
    ],
)
def test_broken_mjml_is_told_in_the_lines_of_the_mjml(inside, code, line):
    """Not in those of the HTML nobody has seen."""
    found = errors({"subject": "S", "text": "T", "mjml": MJML.format(inside)}, example_data={"v": 1})
    assert [(f.code, f.line, f.pointer) for f in found] == [(code, line, "#/channels/email/en/mjml")]


# ── warnings ──────────────────────────────────────────────────────────────────────────────────────────────


def test_images_need_a_description():
    """An empty one says that there is nothing to describe."""
    assert mail("<p>\n<img src='https://x/a.png'></p>") == [(Code.IMAGE_ALT, 2)]
    assert mail("<img src='https://x/a.png' alt=''>") == []


@pytest.mark.parametrize(
    ("html", "pale"),
    [
        ("<p style='color:#999'>a</p>", True),
        ("<p style='color:#767676'>a</p>", False),
        ("<div style='background:#000'><p style='color:#333'>a</p></div>", True),
        ("<td bgcolor='black'><font color='white'>a</font></td>", False),
        ("<td bgcolor=black>a</td>", True),
        ("<h1 style='color:#888;font-size:32px'>a</h1>", False),
        ("<p style='color:#888;font-size:20px;font-weight:bold'>a</p>", False),
        ("<p style='color:{{ v }}'>a</p>", False),
        ("<div style='background:url(x)'><p style='color:#fff'>a</p></div>", False),
        ("<p style='color:#999'> &nbsp; </p><p>a</p>", False),
        ("<p style='color:rgb(200, 200, 200)'>a</p>", True),
        ("<div style='display:none;color:#fff'>a</div>", False),
        ("<p style='color:#999'>a</p><p style='color:#999'>b</p>", True),
    ],
)
def test_pale_text_is_found(html, pale):
    """By WCAG AA, for colours that stand in the HTML."""
    assert mail("\n" + html) == ([(Code.CONTRAST, 2)] if pale else [])


def test_links_without_https_are_found_in_every_field():
    """Once per place, with the line."""
    assert mail("<a href='http://x'>a</a>\n<img alt='' src='HTTP://x'>") == [
        (Code.INSECURE_LINK, 1),
        (Code.INSECURE_LINK, 2),
    ]
    found = findings({"text": "a\nhttp://x"}, Channel.SMS)
    assert [(f.code, f.line) for f in found] == [(Code.INSECURE_LINK, 2)]


def test_an_email_people_can_opt_out_of_says_where():
    """In HTML, in text, or through the layout of the house."""
    assert mail("<p>a</p>", opt_out=True) == [(Code.NO_UNSUBSCRIBE, None)]
    assert mail("<a href='{{ unsubscribe_url }}'>a</a>", opt_out=True) == []
    assert mail("{% extends 'clarion/email' %}", opt_out=True) == []
    assert findings({"text": "a"}, Channel.SMS, opt_out=True) == []


def test_a_curly_quote_that_triples_a_text_message_is_pointed_out():
    """With the character, its place, and what it costs."""
    text = "It" + "\u2019" + "s" + " on its way" * 14
    (found,) = findings({"text": "{{ v }}\n" + text}, Channel.SMS, example_data={"v": "x"})
    assert (found.code, found.line, found.severity) == (Code.SMS_UNICODE, 2, Severity.WARNING)
    assert "`\u2019` (U+2019)" in found.detail
    assert "3 segments instead of 1" in found.detail


def test_a_text_message_in_another_script_is_not_pointed_out():
    """It cannot be written otherwise."""
    assert findings({"text": "Ваш заказ в пути"}, Channel.SMS) == []


def test_subjects_and_html_that_are_cut_off_are_found():
    """What nobody reads need not be sent."""
    long = findings({"subject": "{{ v }}" * 40, "text": "T"}, example_data={"v": "ab"})
    assert [(f.code, f.pointer) for f in long] == [(Code.LONG_SUBJECT, "#/channels/email/en/subject")]
    assert mail("<p>{{ v }}</p>" + "a" * 95_000 + "b{{ v }}" * 1) == []
    assert mail("<p>" + "é" * 55_000 + "{{ v }}") == [(Code.BIG_HTML, None)]


def test_a_derived_text_is_a_note():
    """The author may want to word it."""
    (found,) = findings({"subject": "S", "html": "<p>a</p>"})
    assert (found.severity, found.code) == (Severity.NOTE, Code.DERIVED_TEXT)


def test_findings_about_partials_lead_there_once():
    """However many fields use it."""
    fields = dict.fromkeys(("subject", "text"), "{% include 'a' %}")
    found = findings(fields, example_data={"v": 1}, partials={"a": "\n{{ v|uper }}"})
    assert [(f.pointer, f.line) for f in found] == [("#/partials/a", 2)]


def test_the_layout_of_the_house_passes_its_own_review():
    """With every block filled."""
    html = (
        "{% extends 'clarion/email' %}{% block content %}<h1>Hi</h1><p>{{ v }}</p>"
        "<a class='c-link' href='https://x'>a</a>{% endblock %}"
    )
    assert list(BUILTIN_LAYOUTS) == [EMAIL]
    assert mail(html, opt_out=True) == []


def test_findings_can_be_written_as_json():
    """As the API does."""
    import msgspec

    (found,) = findings({"subject": "S", "html": "<p>a</p>"})
    assert json.loads(msgspec.json.encode(found))["severity"] == "note"
