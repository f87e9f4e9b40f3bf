"""The systemd units and the configuration of nginx: those who read them find nothing wrong."""

from __future__ import annotations

import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from clarion.config import Settings
from tests.needs import require

UNITS = Path(__file__).parents[2] / "deploy/systemd"


def test_systemd_finds_nothing_wrong(tmp_path):
    """With a program that is there in the place of Clarion's."""
    analyze = require("systemd-analyze", "it reads the units")
    for unit in UNITS.iterdir():
        name = unit.name.replace("@", "@worker-1")
        (tmp_path / name).write_text(unit.read_text().replace("/opt/clarion/bin/clarion", "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def read(name: str) -> ConfigParser:
    """A unit; repeated keys do not occur."""
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / name)
    return unit


@pytest.mark.parametrize("name", ["clarion-store.service", "clarion@.service"])
def test_a_service_may_not_more_than_it_needs(name):
    """Not root, no capabilities, nothing it can write but its data."""
    service = read(name)["Service"]
    assert service["User"] == "clarion"
    assert service["CapabilityBoundingSet"] == ""
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    assert service["Restart"] == "always"


def test_the_store_ends_last_and_nobody_is_cut_off():
    """Processes start behind the store, so they stop before it, and have the time that a stop takes."""
    assert "clarion-store.service" in read("clarion@.service")["Unit"]["After"].split()
    defaults = Settings()
    given = int(read("clarion@.service")["Service"]["TimeoutStopSec"])
    assert given > defaults.unready_s + defaults.drain_s + 5
    assert int(read("clarion-store.service")["Service"]["TimeoutStopSec"]) > given
