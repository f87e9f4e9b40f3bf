"""Files for translators over HTTP: out, back into drafts, and what is missing."""

from __future__ import annotations

import pytest

from clarion.content.catalogues import po
from clarion.model.setup import Scope

PO = {"content-type": "text/x-gettext-translation"}
XLIFF = {"content-type": "application/xliff+xml"}
HELLO = {
    "channels": {
        "sms": {"en": {"text": "Hello {{ user.id }}"}},
        "push": {"en": {"title": "Hello", "url": "https://x.example"}},
    }
}


@pytest.fixture
async def hello(admin):
    """A template in one language."""
    await admin.ok("PUT", "/v1/templates/hello", HELLO)
    return "/v1/translations/de"


def translated(content: bytes) -> bytes:
    text = content.decode()
    text = text.replace(
        'msgid "Hello {{ user.id }}"\nmsgstr ""', 'msgid "Hello {{ user.id }}"\nmsgstr "Hallo {{ user.id }}"'
    )
    return text.replace('msgid "Hello"\nmsgstr ""', 'msgid "Hello"\nmsgstr "Hallo"').encode()


async def test_a_language_goes_out_and_comes_back_as_a_draft(admin, hello):
    """What is live stays as it is until somebody publishes."""
    answer = await admin("GET", f"{hello}?template=hello")
    assert answer.headers["content-type"].startswith("text/x-gettext-translation")
    assert 'filename="clarion.de.po"' in answer.headers["content-disposition"]
    told = await admin.ok("PUT", hello, content=translated(answer.content), headers=PO)
    assert (told["drafts"], told["changed"], told["unknown"]) == (["hello"], 2, [])
    draft = (await admin.ok("GET", "/v1/templates/hello/draft"))["template"]["channels"]
    assert draft["sms"]["de"] == {"text": "Hallo {{ user.id }}"}
    assert draft["push"]["de"] == {"title": "Hallo", "url": "https://x.example"}
    assert "de" not in (await admin.ok("GET", "/v1/templates/hello"))["channels"]["sms"]
    again = await admin.ok("PUT", hello, content=translated(answer.content), headers=PO)
    assert (again["drafts"], again["unchanged"]) == ([], 2)


async def test_xliff_goes_the_same_way(admin, hello):
    """The other format, the other media type."""
    answer = await admin("GET", f"{hello}?format=xliff&template=hello")
    content = answer.text.replace("<source>Hello</source>", "<source>Hello</source><target>Hallo</target>")
    told = await admin.ok("PUT", hello, content=content.encode(), headers=XLIFF)
    assert (told["drafts"], told["changed"], told["untranslated"]) == (["hello"], 1, 1)


async def test_a_broken_translation_stores_nothing_and_says_where(admin, hello):
    """Also the good ones of the file wait."""
    content = translated((await admin("GET", f"{hello}?template=hello")).content)
    broken = content.replace(b"Hallo {{ user.id }}", b"Hallo {{ user.idd }}")
    problem = await admin.problem("PUT", hello, content=broken, headers=PO)
    assert problem["code"] == "content_error"
    line = next(entry.line for entry in po.read(broken).entries if entry.name == "sms.text")
    assert f"line {line}, hello sms.text: " in problem["errors"][0]["detail"]
    assert "did you mean `{{ user.id }}`" in problem["errors"][1]["detail"]
    assert (await admin.problem("GET", "/v1/templates/hello/draft"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("content", "headers", "code", "said"),
    [
        (b"nonsense", PO, "invalid_request", "Line 1: this is not PO"),
        (b"<!DOCTYPE a><a/>", XLIFF, "invalid_request", "document type"),
        (b'msgid ""\nmsgstr "Language: fr\\n"\n', PO, "invalid_request", "The file is for `fr`"),
        (
            b"{}",
            {"content-type": "application/json"},
            "unsupported_media_type",
            "text/x-gettext-translation or",
        ),
        (b"", {}, "unsupported_media_type", "xliff"),
    ],
)
async def test_what_is_no_catalogue_is_refused(admin, hello, content, headers, code, said):
    """With the reason."""
    problem = await admin.problem("PUT", hello, content=content, headers=headers)
    assert (problem["code"], said in problem["detail"]) == (code, True), problem


async def test_languages_and_templates_must_exist(admin, hello):
    """A typo is no new language."""
    assert (await admin.problem("GET", "/v1/translations/german"))["code"] == "invalid_request"
    assert "Did you mean 'hello'" in (await admin.problem("GET", f"{hello}?template=hullo"))["detail"]


async def test_templates_in_several_languages_need_a_word_which_to_translate_from(admin, hello):
    """A guess would leave texts out in silence."""
    await admin.ok(
        "PUT", "/v1/templates/hallo", {"default_locale": "de", "channels": {"sms": {"de": {"text": "Hallo"}}}}
    )
    assert "de, en: name the one" in (await admin.problem("GET", "/v1/translations/fr"))["detail"]
    assert b"Hallo" in (await admin("GET", "/v1/translations/fr?source=de")).content


async def test_what_is_missing_is_counted(admin, hello):
    """By language, and for one of them by template, channel and field."""
    found = await admin.ok("GET", f"{hello}/missing?template=hello")
    assert (found["fields"], found["missing"], found["percent"]) == (2, 2, 0.0)
    assert found["templates"][0]["channels"][0] == {
        "channel": "sms", "fields": 1, "missing": ["text"], "served": "en",
    }  # fmt: skip
    lines = {one["locale"]: one for one in (await admin.ok("GET", "/v1/translations"))["items"]}
    assert lines["en"]["missing"] == 0


async def test_a_reader_may_look_but_not_import(clarion, admin, hello):
    """Translations change what people are sent."""
    reader = await clarion.client(Scope.READ)
    assert (await reader.problem("PUT", hello, content=b"", headers=PO))["code"] == "forbidden"
