"""Documents edited as YAML."""

import re
from html import unescape
from urllib.parse import urlencode

import msgspec
import pytest

HELLO = """\
name: Hello
category: account
steps:
  - key: hello
    template: welcome
    to:
      mode: all
      channels: [in_app]
"""
HELLO_EDIT = "/ui/workflows/hello/edit"


def sent(text, tag=""):
    """The form of an editor; browsers send CRLF."""
    return urlencode({"text": text.replace("\n", "\r\n"), "tag": tag}).encode()


def tag_in(page):
    """What the form says that it was made from."""
    (tag,) = re.findall(r'name="tag" value="([^"]*)"', page.body)
    return unescape(tag)


def text_in(page):
    """What stands in the editor."""
    (text,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page.body, re.DOTALL)
    return unescape(text)


def findings_in(page):
    """What is wrong, with line and column."""
    found = re.findall(r"<b>line (\d+), column (\d+)</b> (.*?)</span>", page.body)
    return [(int(line), int(column), unescape(re.sub("<.*?>", "`", said))) for line, column, said in found]


@pytest.fixture
async def hello(ask):
    """A workflow that was written, looked at and published on the page; what the last form was made from."""
    assert (await ask("/ui/workflows/hello/publish", "POST", sent(HELLO))).status == 303
    return tag_in(await ask(HELLO_EDIT))


async def test_a_new_document_starts_from_names_that_there_are(ask):
    """So that it works at once, under the key that was typed."""
    asked = await ask("/ui/configuration/workflows?key=hello")
    assert (asked.status, asked.headers["location"]) == (303, HELLO_EDIT)
    page = await ask(HELLO_EDIT)
    assert "New workflow" in page.body
    assert findings_in(page) == []
    assert (await ask("/ui/configuration/workflows?key=a%20b")).status == 400
    assert (await ask("/ui/configuration/integrations?key=a")).status == 404


async def test_what_is_wrong_is_told_with_line_and_column_and_the_nearest_name(ask):
    """Also without a script: the page comes back with the text as it was written, and nothing is stored."""
    for old, new, where, said in (
        ("category: account", "categori: account", (2, 1), "did you mean `category`?"),
        ("account", "acount", (2, 11), "account"),
        ("welcome", "wellcome", (5, 15), "welcome"),
        ("in_app", "in_ap", (8, 18), "did you mean `in_app`?"),
        ("  - key", "\t- key", (4, 1), "a tab cannot indent YAML"),
        (HELLO, "- a list", (1, 1), "a document is an object"),
        ("key: hello\n", "key: hello\n    when: data.\n", (5, 11), ""),
    ):
        text, found = HELLO.replace(old, new), []
        for address in (HELLO_EDIT, "/ui/workflows/hello/review", "/ui/workflows/hello/publish"):
            page = await ask(address, "POST", sent(text))
            assert (page.status, text_in(page)) == (200, text)
            found = findings_in(page)
            assert any(one[:2] == where and said in one[2] for one in found), (found, where)
        assert findings_in(await ask("/ui/workflows/hello/check", "POST", sent(text))) == found
    assert (await ask("/ui/workflows/hello")).status == 404


async def test_a_text_is_compared_with_what_is_live_before_it_is_published(ask, hello):
    """Line by line, in words too; what only looks different is not."""
    looked = "# a remark\n" + HELLO.replace("[in_app]", "\n        - in_app")
    page = await ask("/ui/workflows/hello/review", "POST", sent(looked, hello))
    assert "says what is live already" in page.body
    page = await ask("/ui/workflows/hello/review", "POST", sent(HELLO.replace("Hello", "<b>Hi"), hello))
    assert "removed: </span>name: Hello" in page.body
    assert "added: </span>name: &lt;b&gt;Hi" in page.body
    published = await ask(
        "/ui/workflows/hello/publish", "POST", sent(HELLO.replace("Hello", "<b>Hi"), tag_in(page))
    )
    assert (published.status, published.headers["location"]) == (303, "/ui/workflows/hello")
    assert "Live v2" in (await ask("/ui/workflows/hello")).body


async def test_who_publishes_over_what_they_have_not_seen_is_told_and_loses_nothing(ask, hello):
    """Their text is compared with what is live by now; only then it is published. Also what was to be a new one."""
    page = await ask("/ui/workflows/hello/publish", "POST", sent(HELLO.replace("Hello", "Mine")))
    assert "Somebody published" in page.body
    assert "Live v1" in (await ask("/ui/workflows/hello")).body
    theirs, mine = HELLO.replace("Hello", "Theirs"), HELLO.replace("Hello", "Mine")
    assert (await ask("/ui/workflows/hello/publish", "POST", sent(theirs, hello))).status == 303
    page = await ask("/ui/workflows/hello/publish", "POST", sent(mine, hello))
    assert "Somebody published" in page.body
    assert text_in(page) == mine
    assert "removed: </span>name: Theirs" in page.body
    assert "Live v2" in (await ask("/ui/workflows/hello")).body
    assert (await ask("/ui/workflows/hello/publish", "POST", sent(mine, tag_in(page)))).status == 303
    assert "Mine" in (await ask("/ui/workflows/hello")).body


async def test_an_old_version_comes_back_by_publishing_its_text(ask, hello):
    """Its text is in the editor, and nothing is live before it is published."""
    await ask("/ui/workflows/hello/publish", "POST", sent(HELLO.replace("Hello", "Second"), hello))
    assert f"{HELLO_EDIT}?version=1" in (await ask("/ui/workflows/hello")).body
    page = await ask(f"{HELLO_EDIT}?version=1")
    assert "name: Hello" in text_in(page)
    assert "Live v2" in (await ask("/ui/workflows/hello")).body
    await ask("/ui/workflows/hello/publish", "POST", sent(text_in(page), tag_in(page)))
    assert "Live v3" in (await ask("/ui/workflows/hello")).body
    assert (await ask(f"{HELLO_EDIT}?version=9")).status == 404
    assert (await ask(f"{HELLO_EDIT}?version=x")).status == 400


async def test_other_kinds_are_edited_alike(ask):
    """With what is wrong with them, until they are stored."""
    for kind, text, said in (
        ("segments", "where: user.attributes.plan == 'pro'", "plan"),
        ("segments", "where: \"'email' in user.channels\"", None),
        ("schedules", "workflow: welcom\nrecipients: [ada]\ncron: 0 9 * * mon", "welcom"),
        ("categories", "name: Orders\ncritical: yes", "`bool`"),
        ("categories", "name: Orders", None),
    ):
        answer = await ask(f"/ui/{kind}/mine/publish", "POST", sent(text))
        if said is not None:
            assert any(said in detail for *_, detail in findings_in(answer)), said
            continue
        assert answer.status == 303
        assert text_in(await ask(f"/ui/{kind}/mine/edit")).split(":")[0] == text.split(":")[0]
        assert f'href="/ui/{kind}/mine/edit"' in (await ask("/ui/configuration")).body


async def test_the_drawing_and_what_may_stand_there_follow_the_text(ask):
    """What can be read is drawn while it is written; fields and documents that there are, are offered."""
    more = "  - key: later\n    type: wait\n    for_s: 60\n"
    checks = await ask("/ui/workflows/hello/check", "POST", sent(HELLO + more))
    assert checks.body.count('class="graph-node') == 2
    broken = await ask("/ui/workflows/hello/check", "POST", sent("steps: ["))
    assert "graph-node" not in broken.body
    body = msgspec.json.encode({"text": "category: acc", "line": 0, "column": 13})
    found = msgspec.json.decode((await ask("/ui/workflows/x/completions", "POST", body)).body)
    assert found == {"typed": 3, "items": [["account", ""]]}
    body = msgspec.json.encode({"text": "steps:\n  - temp", "line": 1, "column": 8})
    found = msgspec.json.decode((await ask("/ui/workflows/x/completions", "POST", body)).body)
    assert [text for text, _ in found["items"]] == ["template: "]
