"""The page about the protocol is in step with the code."""

import re
from pathlib import Path

import pytest

from clarion.gateway import SSE_PATH, WS_PATH, Rules
from clarion.gateway.close_codes import CLOSES
from clarion.gateway.frames import LONGEST_REF, MOST_IDS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "realtime.md").read_text(encoding="utf-8")


def test_every_ending_is_in_the_table():
    """With its code, its reason and its status, and nothing else is."""
    rows = re.findall(r"^\| (\d{4}) \| `(\w+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert rows == [(str(close.code), close.reason, str(close.status)) for close in CLOSES]


@pytest.mark.parametrize(
    "said",
    [
        WS_PATH,
        SSE_PATH,
        f"newest {Rules().snapshot} ",
        f"more than {Rules().replay} items",
        f"{Rules().pending_frames} frames or {Rules().pending_bytes // 1024} KiB",
        f"may have {Rules().frame_bytes // 1024} KiB",
        f"limit is {Rules().command_burst} commands at once and {Rules().commands_per_s:.0f} a second",
        f"after {Rules().ping_s + Rules().pong_s} seconds",
        f'"ping_s": {Rules().ping_s}',
        f"up to {MOST_IDS} items",
        f"up to {LONGEST_REF} characters",
    ],
)
def test_the_limits_are_those_of_the_code(said):
    """Numbers people build on do not drift."""
    assert said in " ".join(PAGE.split())
