"""Clarion against the best of what people build themselves."""

import os

import pytest

from bench import peers
from bench.children import Missing, program
from bench.peers import CLARION, NAME, ratio
from bench.report import Figure
from bench.rig import Rig


def rate(name: str, value: float, index: float = 1.0) -> Figure:
    """Mails a second."""
    return Figure(name=name, value=value, unit="messages/s", index=index)


def test_the_ratio_takes_out_the_speed_of_the_machine():
    """The two were not measured at the same moment."""
    (found,) = ratio([rate(CLARION, 6_000, index=1.2), rate(NAME, 100, index=1.0)])
    assert found.value == pytest.approx(50)
    assert found.met


def test_without_one_of_the_two_the_ratio_says_what_it_needs():
    """It is not measured, and not left out."""
    for figures in ([rate(NAME, 100)], [rate(CLARION, 6_000), rate(NAME, float("nan"))]):
        (found,) = ratio(figures)
        assert not found.measured
        assert "email-smtp" in found.note


def test_a_run_without_the_peer_has_no_ratio():
    """Nobody asked for it."""
    assert ratio([rate(CLARION, 6_000)]) == []


async def test_a_peer_that_cannot_run_is_a_row_that_says_why(monkeypatch: pytest.MonkeyPatch):
    """The other figures do not suffer."""

    def nothing() -> None:
        raise Missing("redis-server is not installed (apt install redis-server)")

    monkeypatch.setattr(peers, "_environment", nothing)
    (found,) = await peers.mails(Rig(quick=True))
    assert not found.measured
    assert "not installed" in found.note


def test_a_missing_program_says_which_package_has_it(monkeypatch: pytest.MonkeyPatch):
    """With the command that installs it."""
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(Missing, match=r"no-such-server is not installed \(apt install no-such-package\)"):
        program("no-such-server", "no-such-package")
