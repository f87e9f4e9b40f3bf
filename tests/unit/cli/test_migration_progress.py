"""How far an update is, for people at a terminal and for logs."""

from io import StringIO

from rich.console import Console

from clarion.cli import output
from clarion.cli.migration_progress import watched

STEP = "Step 1 of 2, schema 0022: The messages [of a user] lie side by side."


def shown(monkeypatch, *, terminal: bool) -> str:
    """What standard error gets of a phase that converts nothing and a step that converts 4,000 rows."""
    written = StringIO()
    console = Console(file=written, force_terminal=terminal, width=100, highlight=False, soft_wrap=True)
    monkeypatch.setattr(output, "err", lambda: console)
    with watched() as progress:
        progress.phase("Counting")
        progress.rows(0, 0)
        progress.phase(STEP)
        for done in range(0, 4_001, 100):
            progress.rows(done, 4_000)
    return written.getvalue()


def test_a_log_gets_a_line_for_each_tenth(monkeypatch):
    """And nothing that only a terminal understands."""
    lines = shown(monkeypatch, terminal=False).splitlines()
    assert lines[:3] == ["Counting", STEP, "  400 of 4,000"]
    assert lines[-1] == "  4,000 of 4,000"
    assert len(lines) == 12


def test_a_terminal_gets_the_sentence_and_a_bar(monkeypatch):
    """As they are written, whatever is in brackets."""
    said = shown(monkeypatch, terminal=True)
    assert STEP in said
    assert "4000/4000" in said
