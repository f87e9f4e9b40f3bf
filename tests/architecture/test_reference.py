"""The reference is complete: what the code can say, the documentation explains."""

import pytest

from clarion.errors import ClarionError
from clarion.model.status import Reason, Status
from tests.architecture.house import ROOT


@pytest.fixture(scope="module")
def reference() -> str:
    """All pages of the reference in one text."""
    return "\n".join(
        page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs/reference").glob("*.md"))
    )


def error_codes(cls: type[ClarionError] = ClarionError) -> set[str]:
    """The stable codes of the whole error tree."""
    return {cls.code}.union(*map(error_codes, cls.__subclasses__()))


def test_every_status_is_explained(reference):
    """Whoever sees a status in the API finds what it promises."""
    assert [status for status in Status if f"`{status}`" not in reference] == []


def test_every_reason_is_explained(reference):
    """Whoever sees a reason in an explanation or a metric label finds what it means."""
    assert [reason for reason in Reason if f"`{reason}`" not in reference] == []


def test_every_error_code_is_explained(reference):
    """Whoever catches an error by its code finds what to do."""
    assert [code for code in sorted(error_codes()) if f"`{code}`" not in reference] == []
