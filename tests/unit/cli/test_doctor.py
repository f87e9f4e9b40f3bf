"""`clarion doctor dns`."""

import json

import pytest
from typer.testing import CliRunner

from clarion.adapters import mail_dns
from clarion.cli.exit_codes import Exit
from clarion.cli.main import program
from clarion.errors import Unavailable
from tests.unit.adapters.test_mail_dns import RIGHT


@pytest.fixture
def records(monkeypatch):
    """What the name servers say."""
    known = dict(RIGHT)
    monkeypatch.setattr(mail_dns, "system_lookup", lambda: lambda name, kind: known.get((name, kind), ()))
    return known


def ran(*arguments, code=Exit.OK):
    """What it prints."""
    result = CliRunner().invoke(program, ["doctor", "dns", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_a_domain_that_is_right_succeeds(records):
    """However its name is written; with a line for each kind of record."""
    lines = ran("Shop.Example.", "--selector", "s1").splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["right", "SPF"],
        ["right", "DKIM"],
        ["right", "DMARC"],
    ]


def test_what_is_wrong_fails_the_command(records):
    """So that a script can tell."""
    del records["_dmarc.shop.example", "TXT"]
    printed = ran("shop.example", "--json", code=Exit.FAILED)
    wrong = [one["record"] for one in json.loads(printed) if one["level"] == "wrong"]
    assert wrong == ["DMARC", "BIMI"]


def test_name_servers_that_do_not_answer_are_told(monkeypatch):
    """Nothing is said about the domain."""

    def broken(name, kind):
        raise Unavailable("TXT of shop.example cannot be looked up (Timeout): try again")

    monkeypatch.setattr(mail_dns, "system_lookup", lambda: broken)
    assert "try again" in ran("shop.example", code=Exit.UNREACHABLE)
