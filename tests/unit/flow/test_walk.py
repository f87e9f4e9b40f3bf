"""The path of one event through the packages: few of them, in one direction."""

import sys
from types import FrameType

import pytest

from clarion.model.channel import Channel
from tests.engine import engine, workflow

WAY = (
    "flow/intake",
    "adapters/brokers",
    "flow/plan",
    "flow/dispatch",
    "services",
    "adapters/providers",
    "flow/track",
    "adapters/fanouts",
)
"""The packages in their order. `services` signs the unsubscribe link of a message."""
BENEATH = {"adapters", "adapters/ledgers", "adapters/vaults"}
"""Packages that every other one uses."""
LIBRARIES = {"content", "model", "ports", "rules", "testing"}
"""Functions without a state of their own, and the test's provider."""


def package(frame: FrameType) -> str | None:
    """The package whose function begins; None for what is shared by all, and outside Clarion."""
    name = frame.f_globals.get("__name__", "")
    folders = str(name).split(".")[1:-1][:2]
    if not str(name).startswith("clarion.") or not folders or folders[0] in LIBRARIES or folders == ["flow"]:
        return None
    entered = "/".join(folders if folders[0] in ("flow", "adapters") else folders[:1])
    return None if entered in BENEATH else entered


@pytest.mark.parametrize("channel", [Channel.IN_APP, Channel.SMS])
async def test_an_event_enters_at_most_eight_packages_and_does_not_turn_back(store, channel):
    """From the call of a program to the inbox, the order of the first steps is that of the architecture."""
    packages: list[str] = []

    def step(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and (entered := package(frame)) is not None and entered not in packages:
            packages.append(entered)

    async with engine(store) as clarion:
        await clarion.create_setup(workflow("note", channel=channel))
        await clarion.put_user("ada")
        await clarion.trigger("note", "ada")  # the first one also opens the provider
        await clarion.until_idle()
        sys.setprofile(step)
        try:
            await clarion.trigger("note", "ada")
            await clarion.until_idle()
        finally:
            sys.setprofile(None)
    assert len(packages) <= 8, packages
    assert packages == [one for one in WAY if one in packages]
    assert {"flow/intake", "flow/plan", "flow/track"} <= set(packages)
