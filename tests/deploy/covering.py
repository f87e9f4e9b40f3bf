"""What the processes of a deployment cover, by the variables they are started with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from clarion.config import Settings
from clarion.model.ids import Instant, WorkerId
from clarion.model.worker import Process, Worker
from clarion.rules.cluster import uncovered


def settings_of(environment: Mapping[str, str]) -> Settings:
    """As Clarion reads them; ConfigError when one is unknown or wrong."""
    with pytest.MonkeyPatch.context() as variables:
        for name, value in environment.items():
            if name.startswith("CLARION_"):
                variables.setenv(name, value)
        return Settings.load()


def left(settings: Iterable[Settings]) -> dict[str, str]:
    """What processes with these settings leave undone together."""
    return uncovered(
        [
            Worker(
                id=WorkerId(1),
                process=Process(roles=one.roles, lanes=one.lanes, channels=one.channels),
                started_at=Instant(0),
                lease_until=Instant(0),
            )
            for one in settings
        ]
    )
