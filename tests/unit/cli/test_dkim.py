"""`clarion dkim create`."""

from __future__ import annotations

import json
import re

import dkim  # type: ignore[import-untyped]
import msgspec
import pytest
from typer.testing import CliRunner

from clarion.adapters.providers.smtp.config import SmtpConfig, sender_of
from clarion.cli.exit_codes import Exit
from clarion.cli.main import program
from tests.mails import made


def ran(*arguments: str, code: int = 0) -> str:
    names = ["--domain", "example.com", "--selector", "clarion1"]
    result = CliRunner().invoke(program, ["dkim", "create", *names, *arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_what_it_prints_signs_mail_that_others_verify(kind):
    """The record as it stands in the zone, the key as it goes into the integration."""
    printed = ran("--kind", kind)
    (line,) = (line for line in printed.splitlines() if " TXT " in line)
    name, _, strings = line.partition(" TXT ")
    assert name == "clarion1._domainkey.example.com."
    found = re.findall(r'"([^"]*)"', strings)
    assert all(len(one) <= 255 for one in found)
    pem = printed[printed.index("-----BEGIN") :]
    config = {"host": "relay.example.com", "from_address": "news@example.com", "dkim_selectors": ["clarion1"]}
    sender = sender_of(msgspec.convert({**config, "dkim_keys": pem}, SmtpConfig))
    assert dkim.verify(made(sender=sender), dnsfunc=lambda _, timeout=5: "".join(found).encode())


def test_scripts_get_it_as_json_and_every_key_is_new():
    """Nothing is stored."""
    one, other = json.loads(ran("--json")), json.loads(ran("--json"))
    assert one["name"] == "clarion1._domainkey.example.com"
    assert one["private_key"] != other["private_key"]


@pytest.mark.parametrize("wrong", [("--domain", "exa mple"), ("--selector", "a;b")])
def test_names_that_cannot_stand_in_a_signature_are_refused(wrong):
    """Before a key is made."""
    ran(*wrong, code=Exit.USAGE)
