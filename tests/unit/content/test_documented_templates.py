"""The how-to on templates tells the truth."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from clarion.content import review
from clarion.content.fields import LAYOUTS
from clarion.content.sandbox import FILTERS, FUNCTIONS, STATEMENTS
from clarion.model.setup import Template
from tests.unit.content.people import TENANT, reader, text

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "write-templates.md").read_text(encoding="utf-8")
DATA = json.loads(re.findall(r"With the data `(.*?)`", PAGE)[0])
SECTION = PAGE.partition("| you write | they read |")[2].partition("\n\n")[0]
ROWS = [
    (source.replace("\\|", "|"), said)
    for source, said in re.findall(r"^\| `(.*?)` \| (.*?) \|$", SECTION, re.MULTILINE)
]


def test_there_are_rows_to_check():
    """The search above finds the table at all."""
    assert len(ROWS) > 10


@pytest.mark.parametrize(("source", "said"), ROWS)
def test_what_is_shown_is_what_is_sent(source, said):
    """Every row of the table, for the reader it names."""
    assert text(source, DATA, user=reader("en-GB", "Europe/London")).strip() == said


def test_the_example_is_a_template_without_problems():
    """It can be copied as it stands."""
    document = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    found = review(msgspec.convert(document, Template), TENANT)
    assert [f.code for f in found] == ["derived_text"]


def test_every_field_filter_statement_and_function_is_named():
    """Nothing can be used that is not written down."""
    for channel, layout in LAYOUTS.items():
        row = re.findall(rf"^\| `{channel}` \| (.*?) \|", PAGE, re.MULTILINE)[0]
        assert re.findall(r"`(\w+)`", row) == list(layout.kinds)
    listed = set(re.findall(r"`(\w+)`", PAGE.partition("Filters: ")[2].partition("\n\n")[0]))
    assert listed == FILTERS
    for name in STATEMENTS | FUNCTIONS:
        assert name.startswith("end") or f"`{name}`" in PAGE
