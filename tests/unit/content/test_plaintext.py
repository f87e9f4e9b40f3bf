"""The plain text that is made from HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.content.plaintext import derive, plain
from clarion.content.weave import weave
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import EmailContent
from tests.unit.content.people import render, template


def derived(html: str, data: object = None, **how: object) -> str:
    """The text of an email that has only `html`."""
    mail = render(template(Channel.EMAIL, subject="S", html=html), data, channel=Channel.EMAIL, **how)  # type: ignore[arg-type]
    assert isinstance(mail, EmailContent)
    return mail.text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<p>a<br>b</p>", "a\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a <b>b</b>c  \n d", "a bc d"),
        ("<h1>Big</h1><h2>Less</h2><p>a", "# Big\n\n## Less\n\na"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<ol><li>a</li><li>b</li></ol>c", "1. a\n2. b\n\nc"),
        ("<ul><li>a<ul><li>b</li></ul></li></ul>", "- a\n  - b"),
        ('<a href="https://x.example/?a&amp;b">there</a>!', "there (https://x.example/?a&b)!"),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<a href="#top">up</a>', "up"),
        ('<a href="https://x"><img alt="Shop" src="y"></a>', "Shop (https://x)"),
        ('<img alt="" src="y">a', "a"),
        ("<table><tr><th>Item</th><th>Qty</th></tr><tr><td>Tea</td><td>2</td></tr></table>", "Item  Qty\nTea  2"),
        ("<table><tr><td><p>a</p></td></tr><tr><td><p>b</p></td></tr></table>", "a\n\nb"),
        ("a<hr>b", "a\n\n---\n\nb"),
        ("&lt;b&gt; &amp;&nbsp;&#8364;&zwnj;", "<b> & \u20ac"),
        ("<title>t</title><style>p{}</style><script>x</script>a", "a"),
        ('<div style="display: none">pre<br>header</div>a', "a"),
        ("<p hidden>no</p><!-- no --><!--[if mso]>no<![endif]-->a", "a"),
        ("", ""),
    ],
)  # fmt: skip
def test_html_becomes_readable_text(html, text):
    """Paragraphs, headings, lists, links, tables; nothing that is not seen."""
    assert plain(html) == text
    assert derived(html + " ") == text if text else True


def test_it_is_made_of_the_source_and_says_what_the_html_says():
    """With loops and conditions, and the same values, unescaped."""
    source = (
        "<html><head><title>{{ n }}</title>{% set k = 2 %}</head><body><h1>Hi {{ n }}</h1>"
        "{% if more %}<p>More &amp; <a href='{{ url }}'>more</a></p>{% endif %}"
        "<ul>{% for i in items %}<li>{{ i }} x {{ k }}</li>{% endfor %}</ul><p>Bye</p></body></html>"
    )
    data = {"n": "<Ada>", "more": True, "url": "https://x.example/?a=1&b=2", "items": ["Tea", "M&M"]}
    assert derived(source, data) == (
        "# Hi <Ada>\n\nMore & more (https://x.example/?a=1&b=2)\n\n- Tea x 2\n- M&M x 2\n\nBye"
    )
    assert derived(source, {**data, "more": False}) == "# Hi <Ada>\n\n- Tea x 2\n- M&M x 2\n\nBye"
    assert derive(weave(source, {})) is not None


@pytest.mark.parametrize(
    "source",
    [
        '<a {% if v %}href="https://x.example"{% endif %}>there</a>',
        '<a href="{% if v %}https://x.example{% endif %}">there</a>',
    ],
)
def test_where_tags_stand_inside_html_tags_it_is_made_of_every_mail(source):
    """Slower, and as right."""
    assert derive(weave(source, {})) is None
    assert derived(source, {"v": True}) == "there (https://x.example)"
    assert derived(source, {"v": False}) == "there"


def test_a_text_of_the_authors_own_is_kept():
    """Also an overriding one; an overriding HTML brings its own text."""
    content = template(Channel.EMAIL, subject="S", html="<p>{{ n }}</p>", text="own")
    assert getattr(render(content, {"n": 1}, channel=Channel.EMAIL), "text", "") == "own"
    given = {"email": {"html": "<p>other</p>"}}
    assert derived("<p>{{ n }}</p>", {"n": 1}, overrides=given) == "other"
    assert derived("<p>{{ n }}</p>", {"n": 1}, overrides={"email": {"text": "mine"}}) == "mine"


def test_an_error_in_it_is_an_error_of_the_html():
    """The author wrote no other field."""
    with pytest.raises(ContentError) as caught:
        derived("<p>\n{{ n }}</p>")
    assert (caught.value.pointer, caught.value.line) == ("#/channels/email/en/html", 2)


@given(st.text(alphabet="<>/abp \n'\"=!-&;{}%hrliutd", max_size=80))
def test_any_html_has_a_text(html):
    """However broken."""
    assert "\ue000" not in plain(html)


@given(st.recursive(
    st.sampled_from(["a", "{{ v }}", "<br>", "<img alt='i'>", "{% set x = v %}"]),
    lambda inner: st.tuples(
        st.sampled_from(["<p>{}</p>", "<ul><li>{}</li></ul>", "<a href='{{ v }}'>{}</a>", "{% if v %}{}{% endif %}",
                         "{% for i in [1, 2] %}{}{% endfor %}", "<table><tr><td>{}</td><td>{}</td></tr></table>",
                         "<div>{}</div>", "<h1>{}</h1>", "<style>{}</style>", "{}{}"]),
        inner,
    ).map(lambda pair: pair[0].replace("{}", pair[1])),
    max_leaves=12,
))  # fmt: skip
def test_text_from_the_source_and_from_the_mail_have_the_same_words(source):
    """Whichever way it is made."""
    made = derive(weave(source, {}))
    if made is None:
        return
    mail = render(
        template(Channel.EMAIL, subject="S", html=source + "<i>.</i>"), {"v": "w"}, channel=Channel.EMAIL
    )
    assert isinstance(mail, EmailContent)
    assert words(mail.text) == words(plain(mail.html))


def words(text: str) -> list[str]:
    """Without the marks of lists, which a loop does not number."""
    return [word for word in text.split() if not word.rstrip(".").isdigit() and word not in ("-", ".")]
