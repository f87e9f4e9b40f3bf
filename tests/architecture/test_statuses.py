"""The documented life of a message is the one in the code."""

import re

from clarion.model.status import ACTIVE, FAILED_FOR_GOOD, MOVES, NOT_SENT, STATUS_DOC, SUCCEEDED, Status
from tests.architecture.source_tree import ROOT

PAGE = (ROOT / "docs/reference/statuses.md").read_text(encoding="utf-8")


def test_the_drawn_diagram_is_the_table_of_moves():
    """Every arrow of the diagram is an allowed move, and none is missing."""
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", PAGE, re.MULTILINE))
    assert drawn == {(old.value, new.value) for old, moves in MOVES.items() for new in moves}


def test_the_documented_meaning_of_each_status_is_that_of_the_code():
    """One paragraph per status, the same words in code and documentation."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert {name: (text, final) for name, text, final in rows} == {
        s.value: (STATUS_DOC[s], "yes" if s.is_terminal else "no") for s in Status
    }


def test_every_status_belongs_to_exactly_one_group():
    """Active, succeeded, failed for good, decided not to send: nothing in between."""
    groups = [ACTIVE, SUCCEEDED, FAILED_FOR_GOOD, NOT_SENT]
    assert sorted(s for group in groups for s in group) == sorted(Status)
