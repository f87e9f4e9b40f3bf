"""Where in HTML a value may be printed."""

from html import unescape

import pytest

from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import EmailContent
from tests.unit.content.people import render, template


def html(source: str, **data: object) -> str:
    """What the HTML of an email says."""
    mail = render(template(Channel.EMAIL, subject="S", text="T", html=source), data, channel=Channel.EMAIL)
    assert isinstance(mail, EmailContent)
    return mail.html


@pytest.mark.parametrize(
    "source",
    [
        "<p>{{ v }}</p>",
        '<p title="{{ v }}">',
        "<p title='a {{ v }}' {% if v %}class=\"b\"{% endif %}>{{ v }}</p>",
        "<style>p { color: {{ v }} }</style>",
        '<p style="color: {{ v }}">',
        "<!-- {{ v }} --><!--[if mso]><td>{{ v }}</td><![endif]--><!--[if !mso]><!-->{{ v }}<!--<![endif]-->",
        "a < b {{ v }}",
        "<!doctype html><title>{{ v }}</title>",
        "{% if v %}<b>{{ v }}</b>{% else %}<i title='{{ v }}'></i>{% endif %}",
        '{% for i in [1] %}<a href="/x/{{ v }}">{{ v }}</a>{% endfor %}',
        "<script>var x = 1 < 2;</script>{{ v }}",
    ],
)
def test_values_may_stand_in_text_and_inside_quotes(source):
    """There, escaping is enough."""
    assert "red" in html(source, v="red")


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("<p title={{ v }}>", "put quotes"),
        ("<p title=a{{ v }}>", "put quotes"),
        ("<p {{ v }}>", "inside a tag"),
        ("<{{ v }}>", "inside a tag"),
        ("</{{ v }}>", "inside a tag"),
        ("<p{{ v }}>", "inside a tag"),
        ("< {{- v }}", "inside a tag"),
        ("< {%- if v %}{{ v }}{% endif %}", "inside a tag"),
        ("</{# -#} {{ v }}", "inside a tag"),
        ("<{{ '' -}} b {{ v }}", "inside a tag"),
        ("<\x00{{ v }}", "inside a tag"),
        ("<p onclick=\"go('{{ v }}')\">", "attribute `onclick`"),
        ("<iframe srcdoc='{{ v }}'>", "attribute `srcdoc`"),
        ("<meta http-equiv=refresh content='0;{{ v }}'>", "attribute `content`"),
        ("<script>var x = '{{ v }}'</script>", "inside `<script>`"),
        ("<SCRIPT >{{ v }}", "inside `<script>`"),
        ("<!--[if mso]><v:rect onclick='{{ v }}'><![endif]-->", "attribute `onclick`"),
        ("<p {% if v %}title='{% endif %}{{ v }}'>", "depends on a condition"),
        ("{% if v %}<p title=\"{% else %}<p>{% endif %}{{ v }}", "depends on a condition"),
        ("{% for i in [1] %}<p title='{% endfor %}{{ v }}", "depends on a condition"),
    ],
)  # fmt: skip
def test_values_may_not_stand_where_escaping_does_not_help(source, detail):
    """The source is refused, with the line."""
    with pytest.raises(ContentError, match=detail) as caught:
        html("\n" + source, v="red")
    assert caught.value.line == 2


BAD = [
    "javascript:alert(1)",
    "JAVASCRIPT:x",
    " java\tscript:x",
    "data:text/html,x",
    "vbscript:x",
    "app://x",
    ":x",
]


@pytest.mark.parametrize(
    "source",
    [
        '<a href="{{ v }}">',
        "<a class='b' href = '{{- v -}}'>",
        '<img src="{{ v }}">',
        '<a href="{% if v %}{{ v }}{% endif %}">',
        '<a href="{% if not v %}https://x/{% endif %}{{ v }}">',
        '<a href="{{ v if v else v }}">',
        '<a href="{% for i in [1] %}{{ v|default("") }}{% endfor %}">',
        '<!--[if mso]><v:fill src="{{ v }}" /><![endif]-->',
        '<a\nHREF="\n{{ v }}">',
    ],
)
@pytest.mark.parametrize("value", BAD)
def test_a_value_never_chooses_what_a_link_does(source, value):
    """Not even in parts, and wherever the quotes stand."""
    with pytest.raises(ContentError, match="a link must be relative"):
        html(source, v=value)


@pytest.mark.parametrize("value", ["https://x.example/a?b=c:d", "/o/1", "mailto:a@b.example", "", "a/b:c"])
def test_ordinary_addresses_pass(value):
    """Escaped like everything."""
    assert unescape(html('<a href="{{ v }}">', v=value)) == f'<a href="{value}">'


def test_a_scheme_may_be_made_of_parts_no_more_than_whole():
    """Two values side by side are looked at one by one."""
    with pytest.raises(ContentError, match="a link must be relative"):
        html('<a href="{{ a }}{{ b }}">', a="javascript", b=":alert(1)")
    with pytest.raises(ContentError, match="a link must be relative"):
        html('<a href="{{ a }}{{ b }}">', a="view-source-", b="https://x")
    assert "a/b:c" in unescape(html('<a href="{{ a }}{{ b }}">', a="a", b="/b:c"))
    assert "myapp:" in html('<a href="myapp:{{ v }}">', v="//javascript:x")


def test_the_line_of_an_error_is_right_behind_a_guarded_link():
    """What was put in is not counted."""
    with pytest.raises(ContentError) as caught:
        html('\n<a href="{{ v }}">\n{{ nothing }}', v="/")
    assert caught.value.line == 3
