"""From template and event to content."""

import msgspec
import pytest

from clarion.content import Renderer
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import (
    ChatContent,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
)
from clarion.model.push import MOST_BYTES, push_bytes
from clarion.model.setup import Template
from tests.unit.content.people import TENANT, reader, render, sms, template, text

# ── what a template sees ──────────────────────────────────────────────────────────────────────────────────


def test_the_fields_of_the_event_are_there_by_name_and_under_data():
    """`name` and `data.name` are the same."""
    assert text("{{ name }} {{ data.name }}", {"name": "Ada"}) == "Ada Ada"


def test_an_event_cannot_replace_what_the_house_says_about_user_and_tenant():
    """`user` and `tenant` keep their meaning; the event's own field is still under `data`."""
    said = text("{{ user.id }} {{ tenant.name }} {{ data.user }}", {"user": "mallory", "tenant": "x"})
    assert said == "ada Demo & Co mallory"


def test_the_reader_is_known_with_attributes_locale_and_zone():
    """What the profile leaves open is the tenant's."""
    source = "{{ user.attributes.plan }} {{ user.locale }} {{ user.timezone }}"
    assert text(source, user=reader("de", "Asia/Tokyo", plan="pro")) == "pro de Asia/Tokyo"
    assert text("{{ user.locale }} {{ user.timezone }}", user=reader("", "")) == "en Europe/Berlin"


def test_data_may_come_as_json_and_are_then_decoded():
    """The caller decodes once per event, or not at all."""
    assert text("{{ n }}", msgspec.Raw(b'{"n": 3}')) == "3"
    with pytest.raises(ContentError, match="not JSON"):
        text("{{ n }}", msgspec.Raw(b"{"))


def test_names_of_python_arguments_are_ordinary_fields():
    """`self` and `template_name` mean nothing special."""
    assert text("{{ self }}{{ template_name }}", {"self": 1, "template_name": 2}) == "12"


def test_null_prints_nothing_truth_prints_as_json_and_so_do_lists_and_objects():
    """Nobody should read `None` or Python's quotes in a message."""
    assert text(
        "[{{ a }}] {{ b }} {{ c }} {{ d }}", {"a": None, "b": True, "c": [1, "x"], "d": {"k": None}}
    ) == ('[] true [1,"x"] {"k":null}')


# ── every channel ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("channel", "fields", "content"),
    [
        (
            Channel.EMAIL,
            {"subject": "S {{ n }}", "text": "T {{ n }}", "html": "<p>{{ n }}</p>"},
            EmailContent(subject="S 1", text="T 1", html="<p>1</p>"),
        ),
        (Channel.SMS, {"text": "T {{ n }}"}, SmsContent(text="T 1")),
        (
            Channel.SMS,
            {
                "text": "T",
                "media": '["https://x.example/{{ n }}.png"]',
                "rcs_template": "HX{{ n }}",
                "rcs_parameters": "[{{ n|tojson }}]",
            },
            SmsContent(
                text="T", media=("https://x.example/1.png",), rcs_template="HX1", rcs_parameters=("1",)
            ),
        ),
        (Channel.SMS, {"text": "T", "media": "{% if n > 1 %}[]{% endif %}"}, SmsContent(text="T")),
        (
            Channel.PUSH,
            {"title": "T", "body": "{{ n }}", "url": "app://{{ n }}", "image": "https://x/{{ n }}.png"},
            PushContent(title="T", body="1", url="app://1", image="https://x/1.png"),
        ),
        (
            Channel.IN_APP,
            {"title": "T {{ n }}", "body": "B", "url": "/o/{{ n }}", "data": '{"n": {{ n|tojson }}}'},
            InAppContent(title="T 1", body="B", url="/o/1", data={"n": 1}),
        ),
        (
            Channel.CHAT,
            {"text": "{{ n }}", "title": "T", "url": "/x"},
            ChatContent(text="1", title="T", url="/x"),
        ),
        (Channel.WEBHOOK, {"body": '{"n":{{ n }}}'}, WebhookContent(type="shipped", body='{"n":1}')),
        (Channel.WEBHOOK, {"type": "t", "body": "{}"}, WebhookContent(type="t", body="{}")),
        (Channel.VOICE, {"text": "{{ n }}"}, VoiceContent(text="1", language="en-US")),
    ],
)
def test_every_channel_gets_its_own_content(channel, fields, content):
    """The fields of the template are the fields of the content."""
    assert render(template(channel, **fields), {"n": 1}, channel=channel) == content


def test_the_body_of_a_push_is_cut_to_what_push_services_take():
    """An example that fits says nothing of all data; the title and the data of the app stay whole."""
    push = template(Channel.PUSH, title="T", body="{{ text }}", data='{"n": 1}')
    short, long = (render(push, {"text": "x" * count}, channel=Channel.PUSH) for count in (100, 9_000))
    assert isinstance(short, PushContent)
    assert isinstance(long, PushContent)
    assert short.body == "x" * 100
    assert long.body.endswith("x…")
    assert MOST_BYTES - 10 < push_bytes(long) <= MOST_BYTES
    assert (long.title, long.data) == ("T", {"n": 1})


def test_a_channel_the_template_does_not_have_is_an_error():
    """Nothing is sent rather than something empty."""
    with pytest.raises(ContentError, match="no content for push") as caught:
        render(sms("x"), channel=Channel.PUSH)
    assert caught.value.pointer == "#/channels/push"


@pytest.mark.parametrize(
    ("channel", "fields", "lacking"),
    [
        (Channel.SMS, {"text": "{{ x }}"}, "`text`"),
        (Channel.EMAIL, {"text": "T"}, "`subject`"),
        (Channel.EMAIL, {"subject": "S"}, "`html`, `mjml`, `text`"),
        (Channel.IN_APP, {"title": " {{ x }} "}, "`title`"),
    ],
)
def test_a_message_without_its_main_words_is_not_sent(channel, fields, lacking):
    """Blank after rendering counts as missing."""
    with pytest.raises(ContentError, match=lacking):
        render(template(channel, **fields), {"x": ""}, channel=channel)


# ── languages ─────────────────────────────────────────────────────────────────────────────────────────────

GREETINGS = Template(
    key="hello",
    default_locale="fr",
    channels={
        Channel.SMS: {
            "pt": {"text": "olá"},
            "en": {"text": "hello"},
            "es-419": {"text": "hola (419)"},
            "fr": {"text": "bonjour"},
            "zh": {"text": "您好 (simplified)"},
        }
    },
)


@pytest.mark.parametrize(
    ("theirs", "hears"),
    [
        ("es-MX", "hola (419)"),
        ("pt-BR", "olá"),
        ("zh-CN", "您好 (simplified)"),
        ("zh-Hant", "hello"),
        ("zh-TW", "hello"),
        ("ja", "hello"),
        ("", "hello"),
        ("en_GB", "hello"),
    ],
)
def test_a_reader_gets_the_nearest_language_else_the_tenants(theirs, hears):
    """Readers of traditional Chinese rather get English than simplified."""
    assert render(GREETINGS, user=reader(theirs)) == SmsContent(text=hears)


def test_without_the_tenants_language_the_templates_default_decides():
    """And without that one, its first."""
    rest = {k: v for k, v in GREETINGS.channels[Channel.SMS].items() if k != "en"}
    content = msgspec.structs.replace(GREETINGS, channels={Channel.SMS: rest})
    assert render(content, user=reader("ja")) == SmsContent(text="bonjour")
    content = msgspec.structs.replace(content, default_locale="ko")
    assert render(content, user=reader("ja")) == SmsContent(text="olá")


# ── overrides ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_override_replaces_a_field_and_is_made_safe_like_one():
    """Other channels' overrides do not matter, and the replaced source is not even rendered."""
    content = template(Channel.EMAIL, subject="{{ missing }}", text="T")
    overrides = {"email": {"subject": "Now\r\nBcc: x"}, "sms": {"text": "other"}}
    mail = render(content, channel=Channel.EMAIL, overrides=overrides)
    assert mail == EmailContent(subject="Now Bcc: x", text="T")


def test_an_override_is_text_and_never_a_template():
    """Braces in it stay braces."""
    assert render(sms("x"), overrides={"sms": {"text": "{{ data }}"}}) == SmsContent(text="{{ data }}")


@pytest.mark.parametrize(
    ("overrides", "pointer"),
    [
        ({"sms": {"txt": "x"}}, "#/overrides/sms/txt"),
        ({"sms": {"text": 7}}, "#/overrides/sms/text"),
        ({"carrier-pigeon": {}}, "#/overrides"),
        ([], "#/overrides"),
    ],
)
def test_a_wrong_override_is_the_failure_of_its_message(overrides, pointer):
    """The pointer leads to what the caller wrote."""
    with pytest.raises(ContentError) as caught:
        render(sms("x"), overrides=overrides)
    assert caught.value.pointer == pointer


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_variable_names_template_channel_locale_field_line_and_expression():
    """Whoever reads the error can go and correct it."""
    with pytest.raises(ContentError) as caught:
        text("Hello\n{{ data.order.number }}", {"order": {}})
    assert str(caught.value) == (
        "template `order`, sms in en, `text` line 2: `data.order.number` has no value; "
        "send it with the event or write `data.order.number|default('')`"
    )
    assert (caught.value.pointer, caught.value.line) == ("#/channels/sms/en/text", 2)


def test_a_missing_variable_may_have_a_default():
    """Optional values are said to be optional."""
    assert text("Hi {{ nickname|default('you') }}{% if vip is defined %}!{% endif %}") == "Hi you"


def test_an_error_never_shows_a_value():
    """Contents do not reach logs through errors."""
    for source in ("{{ secret + 1 }}", "{{ secret|money('EUR') }}", "{{ secret|date }}", "{{ secret - 1 }}"):
        with pytest.raises(ContentError) as caught:
            text(source, {"secret": "4111-1111"})
        assert "4111" not in str(caught.value)


def test_a_broken_template_fails_every_message_the_same_way():
    """The second message does not get through on what the first left behind."""
    renderer = Renderer()
    content = template(Channel.EMAIL, subject="fine", text="{% if %}")
    for _ in range(3):
        with pytest.raises(ContentError, match="`text` line 1"):
            render(content, channel=Channel.EMAIL, renderer=renderer)


# ── safety of what is printed ─────────────────────────────────────────────────────────────────────────────


def test_only_html_is_escaped():
    """A text message shows what was written."""
    content = template(Channel.EMAIL, subject="{{ n }}", text="{{ n }}", html="<b>{{ n }}</b>")
    mail = render(content, {"n": "<i>&'"}, channel=Channel.EMAIL)
    assert mail == EmailContent(subject="<i>&'", text="<i>&'", html="<b>&lt;i&gt;&amp;&#x27;</b>")


def test_a_header_is_one_line():
    """Data cannot smuggle a second header into an email."""
    content = template(Channel.EMAIL, subject="Hi {{ n }}", text="T")
    mail = render(content, {"n": "Ada\r\nBcc: all@example.com\u2028x"}, channel=Channel.EMAIL)
    assert mail == EmailContent(subject="Hi Ada Bcc: all@example.com x", text="T")


def test_control_characters_are_left_out_and_line_ends_are_plain():
    """Tabs and new lines stay."""
    assert text("{{ n }}", {"n": "a\x00b\x1b[31m\tc\r\nd\re\x7f\x85"}) == "ab[31m\tc\nd\ne"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " JaVa\tScript:x",
        "data:text/html,x",
        "vbscript:x",
        "myapp://o/1",
        ":x",
        "x y:z",
    ],
)
def test_a_link_that_runs_something_is_refused(url):
    """Whatever the data say, a click leads somewhere and runs nothing."""
    with pytest.raises(ContentError, match="scheme"):
        render(template(Channel.IN_APP, title="T", url="{{ u }}"), {"u": url}, channel=Channel.IN_APP)


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/a?b=c",
        "HTTP://x",
        "/orders/1",
        "a/b:c",
        "?a=b:c",
        "mailto:a@b.example",
        "tel:+1",
        "",
    ],
)
def test_ordinary_links_pass(url):
    """Relative links too."""
    content = template(Channel.IN_APP, title="T", url="{{ u }}")
    shown = render(content, {"u": url}, channel=Channel.IN_APP)
    assert isinstance(shown, InAppContent)
    assert shown.url == url


def test_a_data_field_must_be_an_object_and_a_webhook_body_json():
    """The error says how to write values."""
    for content, channel in (
        (template(Channel.IN_APP, title="T", data="[{{ n }}]"), Channel.IN_APP),
        (template(Channel.WEBHOOK, body='{"n": {{ n }}}'), Channel.WEBHOOK),
    ):
        with pytest.raises(ContentError, match="tojson"):
            render(content, {"n": "x"}, channel=channel)


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_most_recent_templates_stay_compiled():
    """Memory does not grow with the number of templates ever used."""
    renderer = Renderer(cache=3)
    for version in range(1, 20):
        render(template(text="{{ n }} v", version=version), {"n": version}, renderer=renderer)
    assert len(renderer._compiled) == 3
    assert len(renderer._engine._sources) == 3


def test_a_template_made_anew_under_its_old_version_is_compiled_anew():
    """Deleting and creating a template starts at version 1 again."""
    renderer = Renderer()
    assert render(sms("old {{ 1 }}"), renderer=renderer) == SmsContent(text="old 1")
    assert render(sms("new {{ 1 }}"), renderer=renderer) == SmsContent(text="new 1")
    assert len(renderer._engine._sources) == 1


def test_equal_keys_of_two_tenants_are_two_templates():
    """Nothing of one tenant shows up at another."""
    renderer = Renderer()
    other = msgspec.structs.replace(TENANT, id=2)
    for tenant, words in ((TENANT, "a"), (other, "b"), (TENANT, "a")):
        content = renderer.render(
            template=sms(words + "{{ 1 }}"), channel=Channel.SMS, user=reader(), tenant=tenant, event_data={}
        )
        assert content == SmsContent(text=words + "1")


def test_locales_nobody_has_do_not_fill_memory():
    """What is remembered per reader's locale is bounded."""
    renderer = Renderer()
    content = sms("x{{ 1 }}")
    for n in range(1500):
        render(content, user=reader(f"x-{n}"), renderer=renderer)
    assert all(len(compiled.picks) <= 1024 for compiled in renderer._compiled.values())
