"""Migrations of the schema form one line, so every installation takes the same way."""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

from clarion.adapters.ledgers.schema import REVISION
from tests.architecture.source_tree import ROOT

FOLDER = ROOT / "src/clarion/adapters/ledgers/migrations"


def test_every_step_follows_exactly_one_other():
    """No number is used twice and none is left out; the number of a file is the one inside it."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    steps = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
    assert [step.revision for step in steps] == [f"{number:04}" for number in range(1, len(steps) + 1)]
    assert [step.down_revision for step in steps] == [None, *(step.revision for step in steps[:-1])]
    files = sorted(file.name[1:5] for file in (FOLDER / "versions").glob("v*.py"))
    assert files == [step.revision for step in steps]
    assert steps[-1].revision == REVISION, "the schema of this code is the one behind the last step"
