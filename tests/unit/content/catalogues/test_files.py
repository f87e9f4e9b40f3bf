"""Both formats carry every text there and back, other tools accept them, and hostile files are refused."""

import re
import subprocess

import pytest

from clarion.content.catalogues import Unreadable, po, units, xliff
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.needs import require
from tests.unit.content.catalogues.world import ORDER

FORMATS = pytest.mark.parametrize("form", [po, xliff], ids=["po", "xliff"])
BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en">&lol2;</xliff>"""
OUTSIDE = BOMB.replace('"lol"', 'SYSTEM "file:///etc/passwd"')
DTD = '<!DOCTYPE xliff SYSTEM "http://127.0.0.1:1/x.dtd"><xliff/>'
XLIFF = (
    '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="de">{}</xliff>'
)


@FORMATS
def test_everything_comes_back(form):
    """Texts, translations, names and the language."""
    found = units(ORDER, "en", "de")
    read = form.read(form.write(found, source="en", target="de"))
    assert read.target == "de"
    assert [(e.template, e.name, e.source, e.target) for e in read.entries] == [
        (u.template, u.name, u.source, u.target) for u in found
    ]


@FORMATS
def test_a_file_is_the_same_every_time(form):
    """So that it can be kept under version control."""
    assert form.write(units(ORDER, "en", "de"), source="en", target="de") == form.write(
        units(ORDER, "en", "de"), source="en", target="de"
    )


@FORMATS
def test_characters_that_no_document_may_hold_come_back_too(form):
    """A stray escape in a template is not worth an export that nobody can open."""
    template = Template(key="t", channels={Channel.SMS: {"en": {"text": "a\x1b\x00\ufffe\u2028\x85b\tc"}}})
    (entry,) = form.read(form.write(units(template, "en", "de"), source="en", target="de")).entries
    assert entry.source == "a\x1b\x00\ufffe\u2028\x85b\tc"


def test_gettext_accepts_our_po(tmp_path):
    """Its own checker, all checks on."""
    msgfmt = require("msgfmt", "gettext checks our PO files")
    file = tmp_path / "de.po"
    file.write_bytes(po.write(units(ORDER, "en", "de"), source="en", target="pt-BR"))
    run = subprocess.run(
        [msgfmt, "--check", "-o", "/dev/null", file], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "error" not in run.stderr


def test_gettext_reads_what_we_wrote(tmp_path):
    """Through its own compiler and Python's reader, context by context."""
    import gettext

    msgfmt = require("msgfmt", "gettext compiles our PO files")
    source, compiled = tmp_path / "de.po", tmp_path / "de.mo"
    source.write_bytes(po.write(units(ORDER, "en", "de"), source="en", target="de"))
    subprocess.run([msgfmt, "-o", compiled, source], check=True)
    with compiled.open("rb") as file:
        read = gettext.GNUTranslations(file)
    for unit in units(ORDER, "en", "de"):
        if unit.target:
            assert read.pgettext(f"order/{unit.name}", unit.source) == unit.target


def test_what_translators_mark_as_uncertain_is_known():
    """And what they no longer need is left out."""
    text = '#, fuzzy\nmsgctxt "order/push.title"\nmsgid "a"\nmsgstr "b"\n\n#~ msgid "old"\n#~ msgstr "alt"\n'
    (entry,) = po.read(text.encode()).entries
    assert (entry.review, entry.line) == (True, 3)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"hello", 1, "not PO"),
        (b'msgid "a"\nmsgstr "b"\nnonsense\n', 3, "not PO"),
        (b'msgid "a"\n', 1, "not PO"),
        (b'"lost"', 1, "not PO"),
        (b'msgid "a"\nmsgstr[x] "b"\n', 1, "not PO"),
        ('msgid "a"\nmsgstr "ä"'.encode("latin-1"), 2, "not UTF-8"),
    ],
)
def test_what_is_not_po_is_refused_by_line(content, line, said):
    """With what to do."""
    with pytest.raises(Unreadable, match=said) as refused:
        po.read(content)
    assert refused.value.line == line


def test_a_header_cannot_ask_for_memory():
    """A number of plurals is the size of a list in other readers."""
    text = 'msgid ""\nmsgstr "Plural-Forms: nplurals=999999999; plural=n;\\n"\n\nmsgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\n'
    (entry,) = po.read(text.encode()).entries
    assert (entry.source, entry.target) == ("a", "")


@pytest.mark.parametrize(
    "cp", ["<cp/>", "<cp hex='x'/>", "<cp hex='D800'/>", "<cp hex='110000'/>", "<cp hex='-1'/>"]
)
@pytest.mark.parametrize("place", ["data", "source"])
def test_a_character_that_is_none_is_refused(cp, place):
    """Wherever it stands; half a surrogate pair could not be stored."""
    data, source = (cp, "Hi") if place == "data" else ("x", cp)
    document = (
        f"<xliff xmlns='{xliff.NAMESPACE}' version='2.0' trgLang='de'><file id='a'><unit id='b'><originalData>"
        f"<data id='d'>{data}</data></originalData><segment><source>{source}</source></segment></unit></file></xliff>"
    )
    with pytest.raises(Unreadable, match="<cp>"):
        xliff.read(document.encode())


@pytest.mark.parametrize("content", [BOMB, OUTSIDE, DTD])
def test_documents_with_a_type_are_refused(content):
    """That is where entities come from: those that grow, and those that read files and addresses."""
    with pytest.raises(Unreadable, match="document type"):
        xliff.read(content.encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not XML"),
        ("<xliff", "not XML"),
        ("<html/>", "not XLIFF 2"),
        ('<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"/>', "not XLIFF 2"),
        (XLIFF.format("<file id='a'>" + "<group>" * 100 + "</group>" * 100 + "</file>"), "nested"),
        (
            XLIFF.format(
                "<file id='a'><unit id='b'><segment><source><cp hex='zz'/></source></segment></unit></file>"
            ),
            "hexadecimal",
        ),
        ('<?xml version="1.0" encoding="nonsense"?><xliff/>', "not XML|cannot be read"),
    ],
)
def test_what_is_not_xliff_2_is_refused(content, said):
    """With what to do."""
    with pytest.raises(Unreadable, match=said):
        xliff.read(content.encode())


def test_a_placeholder_has_one_id_wherever_it_stands():
    """Tools pair source and target by it; two of the same are two."""
    template = Template(
        key="t",
        channels={
            Channel.SMS: {
                "en": {"text": "Hi {{ a }}, {{ b }}, {{ a }}"},
                "de": {"text": "{{ b }} {{ a }} hi"},
            }
        },
    )
    content = xliff.write(units(template, "en", "de"), source="en", target="de").decode()
    source, target = re.findall(r"<(?:source|target)>(.*)</", content)
    assert re.findall(r"<ph id='([^']+)' dataRef='([^']+)'/>", source) == [
        ("d1", "d1"),
        ("d2", "d2"),
        ("d1-2", "d1"),
    ]
    assert re.findall(r"<ph id='([^']+)'", target) == ["d2", "d1"]


def test_a_unit_that_a_tool_has_cut_is_put_together():
    """Segments, ignorable blanks, spanning codes, marks and foreign elements, as tools write them."""
    unit = """<file id="f1" original="order"><group id="g"><unit id="sms.text" xmlns:x="urn:x"><x:note>no</x:note>
<originalData><data id="d1">{{ a }}</data><data id="d2">&lt;b></data><data id="d3">&lt;/b></data></originalData>
<segment><source>One <ph id="1" dataRef="d1"/>.</source><target>Eins <mrk id="m"><ph id="1" dataRef="d1"/></mrk>.</target></segment>
<ignorable><source> </source></ignorable>
<segment><source><pc id="2" dataRefStart="d2" dataRefEnd="d3">Two</pc></source><target><pc id="2" dataRefStart="d2" dataRefEnd="d3">Zwei<x:y>no</x:y></pc></target></segment>
</unit></group></file>"""
    (entry,) = xliff.read(XLIFF.format(unit).encode()).entries
    assert (entry.template, entry.name, entry.line) == ("order", "sms.text", 1)
    assert (entry.source, entry.target) == ("One {{ a }}. <b>Two</b>", "Eins {{ a }}. <b>Zwei</b>")


def test_a_unit_with_a_segment_left_is_not_translated():
    """Half a sentence is none."""
    unit = """<file id="order"><unit id="sms.text"><segment><source>One</source><target>Eins</target></segment>
<segment><source>Two</source></segment></unit></file>"""
    (entry,) = xliff.read(XLIFF.format(unit).encode()).entries
    assert (entry.source, entry.target) == ("OneTwo", "")
