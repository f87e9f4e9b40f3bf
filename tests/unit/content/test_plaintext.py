"""The plain text that is made from HTML."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.content.html.markup import remarks
from clarion.content.html.plaintext import derive, plain
from clarion.content.templates.inheritance import resolve
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
        # links
        ('<a href="https://x.example/?order=1&currency=EUR&timestamp=1&region=eu&notify=1">Pay</a>',
         "Pay (https://x.example/?order=1&currency=EUR&timestamp=1&region=eu&notify=1)"),
        ('<a href="/?a=1&copy=2&reg=3&lt=4&amp=5&amp;x">b</a>', "b (/?a=1&copy=2&reg=3&lt=4&amp=5&x)"),
        ("<a href=/?a&notin;b>c</a>", "c (/?a\u2209b)"),
        ('<a href="https://x.example"><img src="y"></a>', "https://x.example"),
        ('<a href="https://x.example"><img alt="" src="y"> </a>!', "https://x.example!"),
        ('<a href="https://x.example" aria-label="Facebook"><img alt="" src="y"></a>', "Facebook (https://x.example)"),
        ('<a href="https://x.example"><svg><path/></svg></a>', "https://x.example"),
        ('a<a href="https://x.example"></a>b', "ab"),
        ('<p><a href="https://x.example">a</p><p>b', "a (https://x.example)\n\nb"),
        ('<a href="/1">a<a href="/2">b', "a (/1)b (/2)"),
        # above and below the line
        ("$19<sup>99</sup>", "$19\u2079\u2079"),
        ("$ 19<sup> 99 </sup>!", "$ 19 \u2079\u2079 !"),
        ("H<sub>2</sub>O, 1<sup>st</sup>, Tea<sup>\u00ae</sup>", "H\u2082O, 1st, Tea\u00ae"),
        ("x<sup>2n</sup> and y<sup><sup>2</sup></sup>", "x^2n and y\u00b2"),
        # lines that are kept
        ("<pre>a\n  b\n\n\nc</pre>d", "a\n  b\n\n\nc\n\nd"),
        ("<pre>\na</pre>", "a"),
        ("<pre>a<br>b</pre>", "a\nb"),
        ("<textarea>a\nb</textarea>c", "a\nb\nc"),
        ('<p style="white-space: pre-line">a\nb</p>', "a\nb"),
        ("a<br><br>b<br/>c</br>d", "a\n\nb\nc\nd"),
        # what is hidden ends where it ends for a browser
        ("<p hidden>x<p>a", "a"),
        ("<ul><li hidden>x<li>a</ul>", "- a"),
        ("<table><tr><td style='display:none'>x<td>a<tr><td>b</table>", "a\nb"),
        ("<div><span hidden>x</div><p>a", "a"),
        ("<html><head><title>t</title><body>a", "a"),
        ("<noscript>x</noscript><template><p>x</template>a", "a"),
        # and what never ends hides nothing
        ("<div style='display:none'>x<p>a</p>", "x\n\na"),
        ("<body><div hidden>x<p>a</p></body></html>", "x\n\na"),
        ("<div hidden>x</div><div hidden>y<p>a", "y\n\na"),
        ("<title>t<p>a</p>", "t\n\na"),
        # lists and tables
        ("<ol start=3><li>a<li>b<li value=9>c</ol>", "3. a\n4. b\n9. c"),
        ("<ul><li><p>a</p></li><li><div>b</div></li></ul>", "- a\n\n- b"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<ol><li>a<ul><li>b</ul><li>c</ol>", "1. a\n  - b\n2. c"),
        ("<table><caption>T</caption><tr><td>a<td>b<tr><td>c<td>d</table>", "T\na  b\nc  d"),
        ("<table><tr><td><table><tr><td>a</table><td>b</table>", "a\nb"),
        ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "a\nb\nc\nd"),
        ("<b>a<p>b</b>c</p>d", "a\n\nb\n\nc\n\nd"),
    ],
)  # fmt: skip
def test_html_becomes_readable_text(html, text):
    """Paragraphs, headings, lists, links, tables; nothing that is not seen."""
    assert plain(html) == text
    assert derived(html + "{# #}") == text if text else True


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
    assert derive(resolve(source, {})) is not None


@pytest.mark.parametrize(
    "source",
    [
        '<a {% if v %}href="https://x.example"{% endif %}>there</a>',
        '<a href="{% if v %}https://x.example{% endif %}">there</a>',
    ],
)
def test_where_tags_stand_inside_html_tags_it_is_made_of_every_mail(source):
    """Slower, and as right."""
    assert derive(resolve(source, {})) is None
    assert derived(source, {"v": True}) == "there (https://x.example)"
    assert derived(source, {"v": False}) == "there"


@pytest.mark.parametrize(
    ("link", "text"),
    [
        ("{% if v %}{{ v }}{% endif %}", "w"),
        ("{% if v %}{{ v }}{% else %}there{% endif %}", "w"),
        ("{% for i in [1, 2] %}{{ v }}{% endfor %}", "ww (w)"),
        ("{% if v %}there{% endif %}", "there (w)"),
    ],
)
def test_a_link_that_says_its_address_says_it_once(link, text):
    """Also where a condition or a loop decides what it says."""
    assert derived(f"<a href='{{{{ v }}}}'>{link}</a>", {"v": "w"}) == text


def test_a_link_that_only_a_condition_makes_one_has_its_address_where_it_is_one():
    """The words stand there either way."""
    source = "{% if v %}<a href='https://x.example'>{% endif %}there{% if v %}</a>{% endif %}"
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


def test_lines_of_the_data_are_kept_where_the_html_keeps_its_own():
    """In a source and in a mail."""
    source = "<p>Log:</p><pre>{% for line in lines %}{{ line }}\n{% endfor %}</pre><p>{{ total }}<sup>{{ cents }}</sup>"
    data = {"lines": ["a", "  b"], "total": 19, "cents": 99}
    assert derived(source, data) == "Log:\n\na\n  b\n\n19^99"
    assert plain("<pre>a\n  b\n</pre>c") == "a\n  b\n\nc"


@pytest.mark.parametrize("mark", ["\ue0000o\ue001", "\ue0009999e\ue001", "\ue002", "\ue000"])
def test_characters_of_our_own_in_a_source_or_the_data_stand_for_nothing(mark):
    """They are for private use, and anybody may."""
    text = derived(f"<p>a{mark}{{{{ v }}}}</p>", {"v": "b"})
    assert text[0] == "a"
    assert text[-1] == "b"
    assert plain(f"<p>a{mark}").startswith("a")


GROWING = [
    "<a ", "<!--", "<!---->", "<!-->", "<div>", "<i>", "</b>", "<p>x", "<li>x", "<ul><li>", "<table><tr><td>", "<title>",
    "<style>", "<script>", "<![CDATA[", "<!doctype", "<?", "</", "&", "&#x", "&amp", "<a b='", "<a href=x><table><td>x",
    "<sup>1", "<div hidden>", "<textarea>", "<svg><b>", "<math><mi>", "<x y=z ", "<b x='1'>", "<pre>\n", "\n<br>",
    "<span style='display:none'>x</p>", "<img alt=", "<a href=x>x", "<i><table></i>", "<h1><li>", "</p>", "<pre> ", "<pre>\n<pre>", "<noscript>",
]  # fmt: skip


@pytest.mark.parametrize("piece", GROWING)
@pytest.mark.parametrize("read", [plain, remarks], ids=["text", "remarks"])
def test_html_is_read_in_linear_time(read, piece):
    """However broken: four times as much takes about four times as long, and never sixteen."""

    def seconds(size: int) -> float:
        html = piece * (size // len(piece)) + "</i>" * (size // 8)
        times = []
        for _ in range(2):
            before = time.process_time()
            read(html)
            times.append(time.process_time() - before)
        return min(times)

    assert seconds(32_000) < 10 * max(seconds(8_000), 0.003)


@given(st.text(alphabet="<>/abp \n'\"=!-&;{}%hrliutd", max_size=80))
def test_any_html_has_a_text(html):
    """However broken."""
    assert "\ue000" not in plain(html)


@given(st.recursive(
    st.sampled_from(["a", "{{ v }}", "<br>", "<img alt='i'>", "{% set x = v %}",
                     "<style>a{% if v %}b{% endif %}</style>"]),
    lambda inner: st.tuples(
        st.sampled_from(["<p>{}</p>", "<ul><li>{}</li></ul>", "<a href='{{ v }}'>{}</a>", "{% if v %}{}{% endif %}",
                         "{% for i in [1, 2] %}{}{% endfor %}", "<table><tr><td>{}</td><td>{}</td></tr></table>",
                         "<div>{}</div>", "<h1>{}</h1>", "{}{}"]),
        inner,
    ).map(lambda pair: pair[0].replace("{}", pair[1])),
    max_leaves=12,
))  # fmt: skip
def test_text_from_the_source_and_from_the_mail_have_the_same_words(source):
    """Whichever way it is made."""
    made = derive(resolve(source, {}))
    if made is None:
        return
    mail = render(
        template(Channel.EMAIL, subject="S", html=source + "<i>.</i>"), {"v": "w"}, channel=Channel.EMAIL
    )
    assert isinstance(mail, EmailContent)
    assert words(mail.text) == words(plain(mail.html))


def words(text: str) -> list[str]:
    """Without the marks of lists, which a loop does not number, and the full stop, wherever it stands."""
    return [word for word in text.replace(".", " ").split() if not word.isdigit() and word != "-"]
