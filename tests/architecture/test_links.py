"""What the pages point to is there."""

import re
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path):
    """A link to a file of this repository names a file that exists."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [
        t.partition("#")[0]
        for t in LINK.findall(text)
        if "://" not in t and not t.startswith(("#", "/", "mailto:"))
    ]
    assert [target for target in targets if not (page.parent / target).exists()] == []
