"""Whatever the data are, one message fails at most, and nothing of them is markup."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.content import Renderer
from clarion.content.templates.engine import MAX_OUTPUT
from clarion.content.templates.sandbox import FILTERS
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import EmailContent
from tests.unit.content.people import reader, render, sms, template

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=15)
OBJECTS = st.dictionaries(
    st.sampled_from(["a", "b", "items", "name", "user", "self", "loop", "range"]) | st.text(), JSON
)
EXPRESSIONS = [
    "{{ a }}",
    "{{ data.a.b }}{{ data['a'][0] }}",
    "{{ a ~ b }}{{ a + b }}{{ a - b }}",
    "{% for x in items %}{{ x.name }}{{ loop.index }}{% endfor %}",
    "{% for k, v in data|items %}{{ k }}={{ v }}{% endfor %}",
    "{% for i in range(a) %}{{ i }}{% endfor %}",
    "{% if a > b %}1{% elif a in b %}2{% else %}3{% endif %}",
    "{{ a[b] }}{{ a[b:] }}",
    "{{ user.attributes[a] }}",
    *[f"{{{{ a|{name} }}}}" for name in sorted(FILTERS)],
    *[f"{{{{ a|{name}(b) }}}}" for name in sorted(FILTERS)],
    *[f"{{{{ a|default(1)|{name}(b, data) }}}}" for name in sorted(FILTERS)],
]
RENDERER = Renderer()


@given(st.sampled_from(EXPRESSIONS), OBJECTS, OBJECTS)
def test_random_data_can_only_fail_their_own_message(source, data, attributes):
    """The result is content or a ContentError; never another exception, never endless text."""
    try:
        content = render(
            sms(source), data, user=reader(**{"x" + k: v for k, v in attributes.items()}), renderer=RENDERER
        )
    except ContentError:
        return
    assert len(getattr(content, "text", "")) <= MAX_OUTPUT


@given(st.text(alphabet="{}%#|.()[]'\"ab 1~-+*\n\\", max_size=60))
def test_a_random_source_is_content_or_a_content_error(source):
    """Also where the reader of sources and the engine might disagree."""
    try:
        render(sms(source), {"a": {"b": [1]}, "b": "x"}, renderer=RENDERER)
    except ContentError:
        pass


class Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[str] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.seen += [tag, *(name for name, _ in attrs)]

    def handle_data(self, data):
        self.words += data

    def handle_comment(self, data):
        self.seen.append("comment")

    def handle_decl(self, decl):
        self.seen.append("declaration")


PRINTED = [
    "{{ v }}",
    "{{ data.v }}",
    "{{ v|default('x') }}",
    "{{ v|upper }}",
    "{{ v ~ '' }}",
    "{{ [v] }}",
    "{{ [v, v]|join(v) }}",
    "{{ v|e|upper }}",
    "{{ v|e ~ v }}",
    "{{ v|tojson }}",
    "{{ v|tojson|upper }}",
    "{{ v|replace('a', v) }}",
    "{{ v|e|replace('&', v) }}",
    "{{ v|e|replace('amp', '<') }}",
    "{{ [v|e, v]|join('<b>') }}",
    "{{ (v|e)[1:] }}",
    "{{ v|truncate(5, true, v) }}",
    "{{ user.attributes.v }}",
    "{% set w = v %}{{ w }}",
    "{% for c in [v] %}{{ c }}{% endfor %}",
    "{{ data }}",
]
MARKUP = st.text(alphabet="<>&\"'/!-=ab ;#x", max_size=20) | st.sampled_from(
    ["<script>", "</p><b>", "&lt;b&gt;", "<!-- ", "\"'><i>", "\\u003cb\\u003e", "&#60;b&#62;"]
)


@pytest.mark.parametrize("printed", PRINTED)
@given(value=MARKUP)
def test_user_data_are_never_markup_in_an_email(printed, value):
    """However a value is printed, the only tag and attribute are those of the template."""
    content = template(Channel.EMAIL, subject="S", html=f'<p title="{printed}">{printed}</p>')
    try:
        mail = render(content, {"v": value}, channel=Channel.EMAIL, user=reader(v=value), renderer=RENDERER)
    except ContentError:
        return
    assert isinstance(mail, EmailContent)
    tags = Tags()
    tags.feed(mail.html)
    tags.close()
    assert tags.seen == ["p", "title"]
    assert "<" not in mail.html.replace('<p title="', "").replace("</p>", "")


@given(OBJECTS)
def test_data_come_through_a_webhook_as_they_were(data):
    """`tojson` is exact."""
    data = json.loads(json.dumps(data, allow_nan=True).replace("NaN", "0").replace("Infinity", "0"))
    content = template(Channel.WEBHOOK, body="{{ data|tojson }}")
    try:
        sent = render(content, data, channel=Channel.WEBHOOK, renderer=RENDERER)
    except ContentError:
        return
    assert json.loads(getattr(sent, "body", "")) == data
