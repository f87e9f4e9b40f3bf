"""Whatever a template says survives the way to a translator and back."""

import subprocess
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.content.catalogues import Unreadable, merge, po, units, xliff
from clarion.content.catalogues.pieces import Cut, Pieces
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.needs import require

FORMATS = pytest.mark.parametrize("form", [po, xliff], ids=["po", "xliff"])
SNIPPETS = st.sampled_from(
    ["{{ name }}", "{{ n|plural(one='a', other='b') }}", "{% if a %}", "{% endif %}", "<p>", "</p>", "<b>", "</b>",
     "<img alt='A cat'>", "<a title='Go'>", "\n", "\r\n", "  ", "Hello", "{{", "<", "&nbsp;", '"', "\\", "<style>", "{# no #}"]
)  # fmt: skip


def sources(*without: Any) -> st.SearchStrategy[str]:
    """What somebody may write, in any script; `without` characters of these categories."""
    words = st.text(st.characters(exclude_categories=["Cs", *without]), max_size=40)
    return st.lists(words | SNIPPETS, max_size=8).map("".join)


def templates(*without: Any) -> st.SearchStrategy[Template]:
    """An email in two languages."""
    source = sources(*without)
    emails = st.fixed_dictionaries({"subject": source, "html": source, "text": source})
    return st.builds(
        lambda en, de: Template(key="t", channels={Channel.EMAIL: {"en": en, "de": de}}), emails, emails
    )


@FORMATS
@settings(max_examples=150, deadline=None)
@given(template=templates())
def test_export_and_import_change_nothing(form, template):
    """Not a blank, in any script, with any markup."""
    content = form.write(units(template, "en", "de"), source="en", target="de")
    result = merge([template], form.read(content), source="en", target="de")
    assert (result.templates, result.broken, result.unknown, result.outdated) == ((), (), (), ())


@settings(max_examples=150, deadline=None)
@given(template=templates())
def test_both_formats_carry_the_same(template):
    """Every text as it is in the template."""
    found = units(template, "en", "de")
    read = [form.read(form.write(found, source="en", target="de")).entries for form in (po, xliff)]
    for entries in read:
        assert [(e.name, e.source, e.target) for e in entries] == [
            (u.name, u.source, u.target) for u in found
        ]


@settings(max_examples=300, deadline=None)
@given(source=sources())
def test_pieces_are_the_whole(source):
    """A frame filled with its own texts is the source."""
    for cut in Cut:
        pieces = Pieces(source, cut)
        assert pieces.fill(pieces.texts) == source


@settings(max_examples=100, deadline=None)
@given(template=templates())
def test_a_translated_template_says_what_the_translator_wrote(template):
    """Everything translated at once becomes a language of its own, and exports as it was written."""
    file = po.read(po.write(units(template, "en", "fr"), source="en", target="fr"))
    done = tuple(msgspec.structs.replace(e, target=f"«{e.source}»") for e in file.entries)
    result = merge([template], msgspec.structs.replace(file, entries=done), source="en", target="fr")
    if result.broken or not result.templates:
        return
    assert {u.name: u.target for u in units(result.templates[0], "en", "fr")} == {
        e.name: e.target for e in done
    }


@FORMATS
@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300) | sources().map(str.encode))
def test_no_file_breaks_the_reader(form, content):
    """It is read, or refused."""
    with suppress(Unreadable):
        form.read(content)


@settings(max_examples=15, deadline=None)
@given(template=templates("Cc"))
def test_gettext_accepts_every_export(template):
    """Its own checker, whatever authors write, short of control characters."""
    msgfmt = require("msgfmt", "gettext checks our PO files")
    content = po.write(units(template, "en", "de"), source="en", target="de")
    run = subprocess.run(
        [msgfmt, "--check", "-o", "/dev/null", "-"], input=content, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr.decode(errors="replace")
