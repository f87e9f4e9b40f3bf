"""The command line explains itself, and quickly."""

import subprocess
import sys

import pytest
from typer.main import get_command

from clarion.cli.exit_codes import Exit
from clarion.cli.main import program
from tests.architecture.source_tree import ROOT

REFERENCE = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")


def commands(group=None, path=()):
    """Every command with its words."""
    group = group or get_command(program)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands())


def test_the_commands_are_the_promised_ones():
    """Scripts rely on them."""
    assert sorted(ALL) == sorted(
        """translations export|translations import|translations missing|check|dead-letters discard-event|dead-letters events|dead-letters list|dead-letters retry|dead-letters retry-events|dev|dkim create|doctor dns|endpoints create|endpoints delete|endpoints disable|endpoints enable|endpoints list|endpoints retry|endpoints rotate-secret|endpoints show|events list|events show|events cancel|events explain|explain|keys create|keys list|keys revoke|messages list
        |messages show|messages tail|messages cancel|messages withdraw|messages retry|migrate|quarantine list|quarantine show|quarantine resolve|quarantine retry|quarantine delete|serve|store|templates list|templates preview|templates publish|templates rollback|templates show|templates test|tenants create|tenants list|tenants show|tenants update|prices list|prices import|budgets list|budgets set|budgets delete|sms-guard show|sms-guard update|sms-guard blocks|sms-guard lift|verifications create|verifications show|verifications check|verifications retry|verifications cancel|retention set|retention run|stats|trigger|vapid create""".replace(
            "\n", ""
        )
        .replace(" " * 8, "")
        .split("|")
        + [
            "cluster drain",
            "region giveback",
            "region status",
            "region takeover",
            "integrations test",
            "sources outbox",
            "pages create",
            "preferences defaults set",
            "preferences defaults show",
            "preferences defaults update",
            "preferences show",
            "preferences update",
            "users export",
            "users import",
            "users search",
            "workflows migrate",
            "workflows runs",
            "workflows trigger",
        ]
        + ["apply", "export", "import", "plan", "promote", "schemas", "types"]
        + [f"live {verb}" for verb in ("delete", "end", "list", "set", "show")]
        + [f"runs {verb}" for verb in ("acknowledge", "advance", "answer", "cancel", "list", "retry", "show")]
        + [
            f"campaigns {verb}"
            for verb in (
                *("cancel", "create", "delete", "list", "pause", "preview", "resume", "retry-failed"),
                *("show", "start", "update"),
            )
        ]
        + [f"schedules {verb}" for verb in ("occurrences", "pause", "resume", "run", "skip")]
        + [f"devices {verb}" for verb in ("delete", "list", "set", "show", "update")]
        + [f"consents {verb}" for verb in ("list", "record", "state")]
        + [f"suppressions {verb}" for verb in ("create", "delete", "export", "import", "list", "search")]
        + [
            f"{noun} {verb}"
            for noun in ("sinks", "sources")
            for verb in ("pause", "resume", "rewind", "status", "test")
        ]
        + [f"dead-letters {verb}" for verb in ("discard-records", "records", "retry-records")]
        + [f"inbound {verb}" for verb in ("list", "show", "resolve")]
        + [f"operations {verb}" for verb in ("cancel", "list", "retry-failed", "show", "watch")]
        + [
            f"objects {verb}"
            for verb in (
                *("add", "create", "delete", "edit", "list", "members", "on-duty", "remove", "set", "show"),
                "update",
            )
        ]
        + [f"topics {verb}" for verb in ("subscribe", "subscribers", "unsubscribe")]
        + [f"segments {verb}" for verb in ("members", "preview", "status")]
        + [f"secrets {verb}" for verb in ("delete", "list", "set")]
        + [
            f"{noun} {verb}"
            for noun in (
                *(
                    "categories",
                    "connections",
                    "integrations",
                    "schedules",
                    "segments",
                    "sinks",
                    "sources",
                    "topics",
                ),
                "users",
                "workflows",
            )
            for verb in ("create", "delete", "edit", "list", "set", "show", "update")
        ]
    )


def test_a_short_option_shows_the_help(capfd):
    """`-h` works on every level, as people expect."""
    for words in ([], ["users"], ["users", "list"]):
        subprocess.run([sys.executable, "-m", "clarion", *words, "-h"], check=True, timeout=60)
        assert "Usage: " in capfd.readouterr().out


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_shows_an_example(name):
    """Most people read nothing else."""
    assert f"clarion {name}" in ALL[name].help


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_and_option_is_in_the_reference(name):
    """Whoever reads the documentation finds all of them."""
    assert f"clarion {name}" in REFERENCE
    options = [
        option for parameter in ALL[name].params for option in parameter.opts if option.startswith("--")
    ]
    assert [option for option in options if f"`{option}" not in REFERENCE and option != "--help"] == []


@pytest.mark.parametrize("code", list(Exit))
def test_every_exit_code_is_in_the_reference(code):
    """A script's author finds what a number means."""
    assert f"| {int(code)} |" in REFERENCE


def test_help_needs_nothing_heavy():
    """`clarion --help` answers before anybody wonders."""
    script = (
        "import clarion.cli.main, sys;"
        "print(*[m for m in ('rich', 'pydantic', 'litestar', 'sqlalchemy', 'cryptography', 'uvicorn', 'asyncio')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
