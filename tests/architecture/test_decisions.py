"""Decisions are recorded where a newcomer finds them."""

import re

import pytest

from tests.architecture.source_tree import ROOT

FOLDER = ROOT / "docs" / "adr"
RECORDS = sorted(path for path in FOLDER.glob("[0-9]*.md") if not path.name.startswith("0000"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_the_shape_of_the_template(record):
    """Each record carries its own number, a status, and says why, what and at which price."""
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {record.name[:4]}: ")
    assert re.search(r"^Status: (proposed|accepted|replaced by \d{4})$", text, re.MULTILINE)
    assert [
        part for part in ("Why now", "Decision", "Instead of", "Price") if f"\n## {part}\n" not in text
    ] == []


def test_every_record_is_listed_once_and_numbers_do_not_repeat():
    """The index names every record, and two branches cannot both take a number unnoticed."""
    listed = re.findall(r"\]\((\d{4}-[^)]+)\) \|", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == [path.name for path in RECORDS]
    assert len({name[:4] for name in listed}) == len(listed)
