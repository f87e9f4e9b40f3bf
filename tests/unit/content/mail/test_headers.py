"""Header fields: what they say, how they are folded, and that nothing can be smuggled into one."""

import itertools
import re
from collections.abc import Callable
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import SMTP
from functools import partial

import msgspec
import pytest

from clarion.content.mail import headers
from clarion.errors import ConfigError, ContentError
from clarion.model.content import Attachment
from clarion.ports.mail import OutgoingEmail, Sender
from tests.mails import SENDER, made, message, mime_builder, outgoing_email

FIELD = re.compile(r"[!-9;-~]+: ?")


def head_of(raw: bytes) -> list[tuple[str, str]]:
    """The fields of a mail, unfolded by us and by nobody else."""
    lines = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[0] in " \t":
            name, value = fields.pop()
            fields.append((name, value + line))
        else:
            assert FIELD.match(line), line
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
    return fields


def field(raw: bytes, name: str) -> str:
    (value,) = (value for found, value in head_of(raw) if found == name)
    return value


def subject_of(raw: bytes) -> str:
    return str(make_header(decode_header(field(raw, "Subject"))))


@pytest.mark.parametrize(
    "subject",
    [
        "Your order",
        "Größe: schön",
        "訂單已寄出",
        "👩‍👩‍👧 " * 20,
        "=?utf-8?B?not encoded by us?=",
        "x" * 2_000,
        "word " * 100 + "end",
        "two  spaces " * 20 + "end",
        "",
        "ű" * 500,
    ],
    ids=lambda s: s[:12],
)
def test_a_subject_is_read_as_it_was_written(subject):
    """Whatever the script and length, and no line is longer than mail allows."""
    raw = made(outgoing_email(subject))
    parsed = message_from_bytes(raw, policy=SMTP)
    assert parsed["subject"] == subject.strip()
    assert all(len(line) <= 78 for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n") if b" " in line[1:])
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


def test_a_short_subject_is_written_plainly():
    """Nothing is encoded that need not be."""
    assert b"Subject: Your order\r\n" in made()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Example News", "Example News <news@example.com>"),
        ("News, Inc.", '"News, Inc." <news@example.com>'),
        ('The "Best" \\ News', '"The \\"Best\\" \\\\ News" <news@example.com>'),
        ("", "news@example.com"),
    ],
)
def test_a_name_is_quoted_where_it_must_be(name, written):
    """RFC 5322: atoms as they are, anything else in quotes."""
    assert field(made(sender=msgspec.structs.replace(SENDER, name=name)), "From") == written


@pytest.mark.parametrize("name", ["Ünïcode", "=?utf-8?q?x?=", "日本語の長い名前" * 5, "A" * 200])
def test_a_name_that_is_not_ascii_is_encoded(name):
    """And comes back whole."""
    words, _, address = field(made(outgoing_email(to_name=name)), "To").rpartition(" ")
    assert str(make_header(decode_header(words))) == name
    assert address == "<ada@example.org>"


def test_what_every_mail_carries():
    """Ids that stay the same, a date, and that nobody needs to answer a machine (RFC 3834)."""
    raw = made(sender=msgspec.structs.replace(SENDER, reply_to="help@example.com", feedback_id="example1"))
    fields = dict(head_of(raw))
    assert fields["Message-ID"] == "<000102030405060708090a0b0c0d0e0f@example.com>"
    assert fields["Date"] == "Mon, 05 Jan 2026 12:00:00 +0000"
    assert fields["Auto-Submitted"] == "auto-generated"
    assert fields["MIME-Version"] == "1.0"
    assert fields["Reply-To"] == "help@example.com"
    assert fields["List-Id"] == "<orders.example.com>"
    assert fields["Feedback-ID"] == "order-shipped:orders::example1"
    assert len(fields) == len(head_of(raw))


def test_the_same_letter_is_the_same_mail():
    """An attempt that is repeated looks no different."""
    assert made() == made()


def test_one_click_stands_only_with_a_web_address():
    """RFC 8058: the POST goes to https; mailto alone is plain RFC 2369."""
    both = made(
        outgoing_email(unsubscribe_url="https://x.example/u/t", unsubscribe_mailto="mailto:u@x.example")
    )
    assert field(both, "List-Unsubscribe") == "<https://x.example/u/t>, <mailto:u@x.example>"
    assert field(both, "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    by_mail = dict(head_of(made(outgoing_email(unsubscribe_mailto="mailto:u@x.example"))))
    assert by_mail["List-Unsubscribe"] == "<mailto:u@x.example>"
    assert "List-Unsubscribe-Post" not in by_mail
    assert "List-Unsubscribe" not in dict(head_of(made()))


def test_the_return_path_names_the_message():
    """Bounces and mailed unsubscribes find their message; without a domain for it they go to the sender."""
    sender = msgspec.structs.replace(SENDER, return_domain="bounce.example.com")
    one = outgoing_email(unsubscribe_url="https://x.example/u/t")
    mail = mime_builder().make(sender, one)
    tag = message().id.hex()
    assert mail.return_path == f"b+{tag}@bounce.example.com"
    assert (
        field(mail.body, "List-Unsubscribe")
        == f"<https://x.example/u/t>, <mailto:u+{tag}@bounce.example.com?subject=unsubscribe>"
    )
    assert mime_builder().make(SENDER, one).return_path == "news@example.com"


# ── nothing can be smuggled in ────────────────────────────────────────────────────────────────────────────

ENDS = ("\r\n", "\n", "\r", "\r\n ", "\n\t", "\r\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\0", "\0\r\n",
        "%0d%0a", "%0A", "\\r\\n", "=0D=0A", "=?utf-8?q?=0d=0a?=", "=?utf-8?B?DQo=?=", "\udc0a", "嘊嘍", "\x7f\r\n")  # fmt: skip
AFTER = (
    "Bcc: victim@example.net",
    "To: victim@example.net",
    "Subject: other",
    "Content-Type: text/html",
    "\r\n<script>alert(1)</script>",
    "X-Injected: yes",
    "From: boss@example.com",
    ".\r\nMAIL FROM:<x@example.net>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n",
    "DKIM-Signature: v=1; d=example.net",
    "--=_000102030405060708090a0b0c0d0e0fa\r\n",
)
BEFORE = ("", "hello", "ada@example.org", '"quoted', "<a@b>", "x" * 70)
PAYLOADS = [b + e + a for b, e, a in itertools.product(BEFORE, ENDS, AFTER)]

NAMES = [name for name, _ in head_of(made(outgoing_email(unsubscribe_url="https://x.example/u/t")))]


def test_there_are_enough_payloads():
    """The list is what it claims to be."""
    assert len(set(PAYLOADS)) >= 500


PLACES: dict[str, Callable[[str], OutgoingEmail]] = {
    "subject": outgoing_email,
    "to_name": lambda p: outgoing_email(to_name=p),
    "to": lambda p: outgoing_email(to=p),
    "to, behind a good one": lambda p: outgoing_email(to="ada@example.org" + p),
    "to, quoted": lambda p: outgoing_email(to=f'"{p}"@example.org'),
    "workflow": lambda p: outgoing_email(message=message(workflow=p)),
    "category": lambda p: outgoing_email(message=message(category=p)),
    "unsubscribe_url": lambda p: outgoing_email(unsubscribe_url="https://x.example/" + p),
    "unsubscribe_mailto": lambda p: outgoing_email(unsubscribe_mailto="mailto:" + p),
    "attachment name": lambda p: outgoing_email(attachments=(Attachment(name=p, content=b"x"),)),
    "attachment type": lambda p: outgoing_email(attachments=(Attachment(name="x", type=p, content=b"x"),)),
    "inline id": lambda p: outgoing_email(attachments=(Attachment(name="x", inline_id=p, content=b"x"),)),
}
SENDERS: dict[str, Callable[[str], Sender]] = {
    name: partial(lambda name, payload: msgspec.structs.replace(SENDER, **{name: payload}), name)
    for name in ("address", "name", "reply_to", "return_domain", "list_domain", "feedback_id")
}


@pytest.mark.parametrize("place", PLACES)
def test_no_payload_gets_a_field_of_its_own(place):
    """Refused, or written so that the mail has the fields of any other mail, once each, in the same order."""
    for payload in PAYLOADS:
        try:
            mail = mime_builder().make(SENDER, PLACES[place](payload))
        except ContentError:
            continue
        known = {"List-Unsubscribe", "List-Unsubscribe-Post", "Content-Transfer-Encoding"}
        assert [n for n, _ in head_of(mail.body) if n not in known] == [n for n in NAMES if n not in known]
        assert not set("\r\n\0") & set(mail.recipient + mail.return_path)
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", mail.body)
        parsed = message_from_bytes(mail.body, policy=SMTP)
        assert not parsed.defects
        assert set(map(str, parsed.keys())) <= set(NAMES) | known


@pytest.mark.parametrize("place", SENDERS)
def test_no_setting_gets_a_field_of_its_own(place):
    """The same for what an integration's settings say."""
    for payload in PAYLOADS:
        try:
            mail = mime_builder().make(SENDERS[place](payload), outgoing_email())
        except ConfigError:
            continue
        allowed = {*NAMES, "Content-Transfer-Encoding", "Reply-To", "Feedback-ID"}
        assert {n for n, _ in head_of(mail.body)} <= allowed
        assert not set("\r\n\0 ") & set(mail.return_path)


@pytest.mark.parametrize("text", ["a\r\nb", "\x00a\x1fb\x85", "\u2028x\u2029"])
def test_a_line_stays_one_line(text):
    """Control characters and line ends become blanks."""
    assert headers.cleaned(text).isprintable()
