"""The how-to on templates tells the truth."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from clarion.content import Code, review
from clarion.content.html import sanitizer
from clarion.content.templates import growth
from clarion.content.templates.engine import FUEL, MAX_OUTPUT
from clarion.content.templates.fields import LAYOUTS
from clarion.content.templates.growth import MAX_COPIES
from clarion.content.templates.inheritance import MAX_DEPTH
from clarion.content.templates.sandbox import (
    FILTERS,
    FUNCTIONS,
    MAX_ARGUMENT,
    MAX_FILTERS,
    MAX_LOOP_TEXT,
    MAX_OPERATORS,
    MAX_SOURCE,
    MAX_TAGS,
    STATEMENTS,
    TESTS,
    WEAVING,
)
from clarion.content.templates.scope import HOUSE, USER
from clarion.content.templates.scope import TENANT as TENANT_NAMES
from clarion.content.templates.time_budget import LIMIT_S
from clarion.model.channel import Channel
from clarion.model.setup import Template
from tests.unit.content.people import TENANT, reader, text

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "write-templates.md").read_text(encoding="utf-8")
REFERENCE = (Path(__file__).parents[3] / "docs" / "reference" / "template-language.md").read_text(
    encoding="utf-8"
)
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


def test_every_field_is_named():
    """Nothing can be used that is not written down."""
    for channel, layout in LAYOUTS.items():
        row = re.findall(rf"^\| `{channel}` \| (.*?) \|", PAGE, re.MULTILINE)[0]
        assert re.findall(r"`(\w+)`", row) == list(layout.kinds)


def section(title: str) -> str:
    """A section of the reference."""
    return REFERENCE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """The names in the first column of a section's table."""
    cells = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(.+?)`", cell)]


def test_every_filter_and_test_is_in_the_reference():
    """And none that does not exist."""
    assert sorted(first_cells("Filters")) == sorted(FILTERS)
    listed = section("Tests").partition("`is not`:")[2]
    assert re.findall(r"`(\w+)`", listed) == sorted(TESTS)


def test_every_statement_and_function_is_in_the_reference():
    """Each shown in use."""
    shown = section("Statements and functions")
    for name in STATEMENTS | WEAVING:
        assert f"{{% {name} " in shown
    for name in FUNCTIONS:
        assert f"`{name}(" in shown


def test_every_name_in_reach_is_in_the_reference():
    """Of what the house adds."""
    assert set(first_cells("Names")) == HOUSE
    for name in [*USER, *TENANT_NAMES]:
        assert f"`{name}`" in section("Names")


def test_every_finding_is_in_the_reference_in_order():
    """With its code."""
    codes = re.findall(r"^\| `(\w+)` \| (error|warning|note) \|", section("Findings"), re.MULTILINE)
    assert [code for code, _ in codes] == [str(code) for code in Code]


def test_the_limits_are_those_of_the_code():
    """Numbers drift first."""
    shown = section("Limits")
    for number in (
        MAX_SOURCE,
        MAX_TAGS,
        MAX_OPERATORS,
        MAX_FILTERS,
        MAX_LOOP_TEXT,
        MAX_DEPTH,
        MAX_OUTPUT,
        FUEL,
        MAX_COPIES,
        growth.MAX_DEPTH,
        MAX_ARGUMENT,
        sanitizer.MAX_HTML,
        sanitizer.MAX_TAGS,
    ):
        assert f"{number:,}" in shown
    assert f"{LIMIT_S * 1000:.0f} ms" in shown


def test_the_sources_that_are_shown_work():
    """The layout and the MJML of the page."""
    html, mjml = re.findall(r"```html\n(.*?)```", PAGE, re.DOTALL)
    for fields in ({"subject": "S", "html": html}, {"subject": "S", "mjml": mjml}):
        template = Template(
            key="t",
            channels={Channel.EMAIL: {"en": fields}},
            example_data={"order": "C-2041", "items": [{"name": "Tea"}]},
        )
        assert {f.code for f in review(template, TENANT)} == {Code.DERIVED_TEXT}
