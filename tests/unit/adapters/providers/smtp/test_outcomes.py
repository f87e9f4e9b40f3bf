"""What replies mean: the table of the standards, and the words servers really use."""

import pytest

from clarion.adapters.providers.smtp.outcomes import Stage, accepted, detail_of, outcome_of, slows_domain
from clarion.model.outcome import Gone, Misconfigured, Rejected, Retry

ADA = "ada.lovelace@example.org"


def meaning(reply: str, stage: Stage = Stage.RCPT):
    code, _, text = reply.partition(" ")
    return outcome_of(stage, (int(code), text.encode()), ADA)


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.1.1 The email account that you tried to reach does not exist.",
        "550 5.1.2 bad destination system",
        "501 5.1.3 bad address syntax",
        "551 5.1.6 moved",
        "556 5.1.10 domain does not accept mail",
        "556 nobody takes mail here",
        "550 no such user here",
        "550 User unknown in virtual mailbox table",
        "553 Mailbox not found",
        "550 Requested action not taken: mailbox unavailable: user does not exist",
    ],
)
def test_an_address_that_does_not_exist_is_gone(reply):
    """Enhanced codes first; without one, what the words say."""
    assert isinstance(meaning(reply), Gone)


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 blocked using a list",
        "550 5.7.26 This mail is unauthenticated",
        "550 5.7.515 Access denied, sending domain does not pass authentication",
        "554 5.7.1 Relay access denied",
        "550 blocked by our policy",
        "554 rejected",
        "552 5.2.3 message too big",
        "552 5.3.4 message size exceeds fixed limit",
        "550 5.2.1 mailbox disabled",
        "553 5.6.7 needs SMTPUTF8",
        "503 5.5.1 bad sequence",
    ],
)
def test_a_refusal_for_another_reason_leaves_the_address_alone(reply):
    """Policy, size and protocol are not the recipient's fault: nothing is suppressed."""
    assert isinstance(meaning(reply), Rejected)


@pytest.mark.parametrize(
    ("reply", "hint"), [("550 5.7.26 x", "SPF, DKIM, DMARC"), ("554 5.7.1 Relaying denied", "wants a login")]
)
def test_a_refusal_says_what_to_do(reply, hint):
    """Behind the server's own words."""
    assert hint in meaning(reply).detail


@pytest.mark.parametrize(
    "reply", ["552 5.2.2 mailbox full", "452 4.2.2 over quota", "550 Mailbox is full", "552 quota exceeded"]
)
def test_a_full_mailbox_is_tried_again(reply):
    """It may be emptied; and the relay is well."""
    found = meaning(reply)
    assert isinstance(found, Retry)
    assert found.of_address
    assert not slows_domain(found)


@pytest.mark.parametrize(
    "reply",
    [
        "451 4.7.1 greylisted",
        "450 4.7.0 try later",
        "421 4.7.28 unusual rate",
        "450 mailbox busy",
        "451 local error",
        "421 too many messages",
        "450 4.2.0 Recipient address rejected: Greylisted, see https://postgrey.example",
    ],
)
@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DATA, Stage.END])
def test_a_destination_that_asks_for_less_is_slowed(reply, stage):
    """Greylisting and rate limits."""
    found = meaning(reply, stage)
    assert slows_domain(found)
    assert found.called


@pytest.mark.parametrize("reply", ["450 4.2.1 mailbox locked", "450 4.1.2 domain not found just now"])
def test_what_is_said_of_one_mailbox_slows_nobody_else(reply):
    """Only this mail waits."""
    found = meaning(reply)
    assert isinstance(found, Retry)
    assert found.of_address
    assert not slows_domain(found)


@pytest.mark.parametrize("reply", ["451 4.3.0 queue file write error", "452 4.3.1 no space", "451 4.4.2 x"])
def test_a_relay_in_trouble_is_the_relays_trouble(reply):
    """At the last dot the relay speaks of itself, and its circuit may open."""
    found = meaning(reply, Stage.END)
    assert isinstance(found, Retry)
    assert not found.of_address


@pytest.mark.parametrize("reply", ["451 4.7.1 slow down", "421 4.3.2 closing", "452 4.5.3 too many"])
def test_a_refusal_before_the_recipient_is_named_is_not_about_the_recipient(reply):
    """MAIL FROM speaks of the sender and the connection."""
    found = meaning(reply, Stage.MAIL)
    assert isinstance(found, Retry)
    assert not found.of_address


@pytest.mark.parametrize(
    "reply", ["530 5.7.0 login first", "553 5.1.8 bad sender", "550 5.7.1 not your domain"]
)
def test_a_sender_that_is_refused_is_a_matter_of_settings(reply):
    """The circuit opens: every other mail would meet the same."""
    assert isinstance(meaning(reply, Stage.MAIL), Misconfigured)


def test_no_recipient_can_open_the_circuit():
    """Whoever registers a strange address must not stop everybody's mail."""
    for code in range(400, 600):
        for text in ("5.7.1 relaying denied", "5.7.0 login first", "x", "4.3.0 x", "5.1.8 bad sender"):
            assert not isinstance(meaning(f"{code} {text}"), Misconfigured)


@pytest.mark.parametrize(
    ("words", "after_s"),
    [
        ("4.7.1 try again in 300 seconds", 300),
        ("4.7.1 greylisted for 5 minutes", 300),
        ("4.7.1 wait 90s", 90),
        ("4.7.1 try later", None),
    ],
)
def test_a_wait_that_is_named_is_honoured(words, after_s):
    """In seconds or minutes."""
    assert meaning(f"451 {words}").after_s == after_s


def test_the_words_are_bounded_and_name_nobody():
    """No address, no local part, no control character, one line."""
    text = f"5.1.1 <{ADA}>: ada.lovelace unknown\n\x1b[31mADA.LOVELACE@EXAMPLE.ORG " + "x" * 1_000
    found = detail_of((550, text.encode()), ADA)
    assert "lovelace" not in found.lower()
    assert len(found) <= 240
    assert found.isprintable()
    assert found.startswith("550 5.1.1 <<address>>: <address> unknown")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2.0.0 Ok: queued as 4XyZ12", "4XyZ12"),
        ("OK id=1qX2Yz-0001AB-Cd", "1qX2Yz-0001AB-Cd"),
        ("Ok 0102018f-aaaa-bbbb-000000", "0102018f-aaaa-bbbb-000000"),
        ("2.0.0 Ok", None),
        ("thanks", None),
    ],
)
def test_the_relays_name_for_a_mail_is_kept(text, name):
    """Postfix, Exim and SES each have their way of saying it."""
    assert accepted((250, text.encode())).provider_id == name
