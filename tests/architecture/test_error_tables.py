"""What the how-tos say about the errors of services is what the plug-ins make of them."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from clarion.adapters.http import HttpReply
from clarion.adapters.phone_errors import REPORTED, PhoneErrorEffect, outcome_of_effect
from clarion.adapters.providers import expo
from clarion.adapters.providers.twilio.error_codes import CODES
from clarion.cli.error_tables import MEANS, PLACE, TABLES, errors_of, filled
from clarion.model.channel import Channel, Lane
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.receipt import Receipt
from clarion.model.status import Status
from clarion.rules.receipts import interpret
from clarion.testing.provider_contract import Recorded
from clarion.testing.scripted_server import Answer
from tests.architecture.source_tree import ROOT
from tests.architecture.test_plugins import PROVIDERS
from tests.vendors.expo import receipt

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "how-to").glob("*.md")}
PLACES = [(place[2], place[3]) for page in PAGES.values() for place in PLACE.finditer(page)]
WRITE = "python -m clarion.cli.error_tables docs/how-to"
EMAILS = ("sendgrid", "ses", "postmark", "mailgun", "resend", "mailjet", "brevo")
PUSHES = {"apns": "APNs", "fcm": "FCM", "hms": "Huawei", "expo": "Expo"}
SERVICES = {name: (f"send-email-with-{name}.md", "What its errors mean here") for name in EMAILS} | {
    name: ("send-to-phones.md", f"What the errors of {shown} mean here") for name, shown in PUSHES.items()
}
"""Services whose tables are written by hand: the page, and the heading above the table."""
CODE = re.compile(r"`([A-Za-z][\w-]+)`|\b(\d{2,4})\b")
OF_WHATSAPP = frozenset({PhoneErrorEffect.WINDOW_CLOSED, PhoneErrorEffect.TEMPLATE})
"""Effects that no text message has."""

MESSAGE = Message(
    id=MessageId(bytes(16)),
    tenant=TenantId(1),
    user=UserNo(1),
    event_id=EventId(bytes(16)),
    workflow="w",
    workflow_version=1,
    category="c",
    step="s",
    template="t",
    channel=Channel.SMS,
    lane=Lane.NORMAL,
    status=Status.SENT,
    created_at=Instant(1),
)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_tables_of_a_page_are_those_of_the_plugins(name):
    """Every code, in the words of a message's timeline."""
    assert filled(PAGES[name]) == PAGES[name], f"run `{WRITE}`"


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_every_provider_that_knows_error_codes_has_them_on_a_page(provider):
    """Those of answers and those of reports, or both in one table."""
    shown = {TABLES[kind].attribute for kind, name in PLACES if name == provider}
    known = {table.attribute for table in TABLES.values() if errors_of(provider, table.attribute)}
    assert shown == known


@pytest.mark.parametrize("effect", PhoneErrorEffect)
def test_an_effect_means_what_the_tables_say(effect):
    """The outcome when it is answered, status and reason when it is reported."""
    outcome, status, reason, _ = MEANS[effect]
    assert type(outcome_of_effect(effect, "")).__name__ == outcome
    kind, permanent, why = REPORTED[effect]
    receipt = Receipt(
        tenant=MESSAGE.tenant,
        message_id=MESSAGE.id,
        kind=kind,
        at=Instant(2),
        permanent=permanent,
        reason=why,
    )
    means = interpret(MESSAGE, receipt)
    assert (means.status, means.reason) == (status, reason)


@pytest.mark.parametrize("effect", [one for one in PhoneErrorEffect if one not in OF_WHATSAPP])
def test_the_page_that_text_services_share_explains_every_effect(effect):
    """Under the name that settings take for it."""
    outcome, status, reason, advice = MEANS[effect]
    row = f"| `{outcome}` | `{status}`, `{reason}` | {advice} |"
    assert re.search(
        rf"^\| `{effect.value}` \| [^|]+ {re.escape(row)}$", PAGES["send-texts.md"], re.MULTILINE
    )


def test_the_page_of_twilio_says_what_its_codes_mean():
    """Its advice is in words of its own."""
    page = PAGES["send-texts-with-twilio.md"]
    rows = []
    for code, known in CODES.items():
        outcome, status, reason, _ = MEANS[known.effect]
        rows.append(f"| {code} | {known.words} | `{outcome}` | `{status}`, `{reason}` |")
    assert [row for row in rows if row not in page] == []


def claims(provider: str) -> list[tuple[str, list[str]]]:
    """Codes and outcomes in the table of a service; where a row names several outcomes, it says when each is."""
    name, heading = SERVICES[provider]
    section = PAGES[name].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    return [
        (code or number, re.findall(r"`(\w+)`", means))
        for answer, means in rows
        for code, number in CODE.findall(answer)
    ]


def test_every_error_in_a_receipt_of_expo_means_what_the_page_says():
    """The status is that of a message which it is reported of. All errors that are known are there."""
    section = PAGES["send-to-phones.md"].partition("\n## What the receipts of Expo mean here\n")[2]
    rows = re.findall(r"^\| (`[^|]+) \| `(\w+)` \| [^|]+ \|$", section.partition("\n## ")[0], re.MULTILINE)
    shown = {code: status for errors, status in rows for code in re.findall(r"`(\w+)`", errors)}
    assert shown.keys() == {"DeviceNotRegistered"} | expo.FAILURES
    for error, status in shown.items():
        answer = Answer.json(200, {"data": {"ticket": receipt(error)}})
        reply = HttpReply(status=200, headers=answer.headers, body=answer.body)
        (one,) = expo.read_receipts({"ticket": "reference"}, reply)
        reported = Receipt(
            tenant=MESSAGE.tenant,
            message_id=MESSAGE.id,
            kind=one.kind,
            at=Instant(2),
            permanent=one.permanent,
            reason=one.reason,
        )
        assert interpret(MESSAGE, reported).status == status


def examples(provider: str) -> list[Recorded]:
    """What was recorded of the service; the contract suite proves what each means."""
    vendors = import_module(f"tests.vendors.{provider}").VENDORS
    return [one for vendor in vendors.values() for one in vendor.replies]


def said(one: Recorded) -> str:
    """Headers and body of an answer: some services name their errors in one, some in the other."""
    return f"{' '.join(one.answer.headers.values())} {one.answer.body.decode()}"


@pytest.mark.parametrize("provider", sorted(SERVICES))
def test_every_code_in_the_table_of_a_service_means_what_an_example_shows(provider):
    """A row that nothing proves is a promise nobody keeps."""
    recorded = examples(provider)
    unproven = [
        (code, outcomes)
        for code, outcomes in claims(provider)
        if not any(
            one.means.__name__ in outcomes
            and (code == str(one.answer.status) or re.search(rf"\b{code}\b", said(one)))
            for one in recorded
        )
    ]
    assert claims(provider) != []
    assert unproven == []
