"""Attachments and invitations as they go over the wire."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest

from clarion.content.mail.media_types import media_type
from clarion.model.content import Attachment, EmailContent, Invitation
from tests.mails import SENDER, mime_builder, outgoing_email


def sent(content: EmailContent) -> EmailMessage:
    mail = mime_builder().make(SENDER, msgspec.structs.replace(outgoing_email(), content=content))
    found = message_from_bytes(mail.body, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def attached(name: str = "a", type: str = "text/plain", content: bytes = b"x") -> EmailMessage:
    """The one attachment of a mail."""
    one = Attachment(name=name, type=type, content=content)
    (found,) = sent(EmailContent(subject="S", text="T", attachments=(one,))).iter_attachments()
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize(
    ("type", "name", "parameters"),
    [
        ("text/calendar; method=REQUEST; charset=UTF-8", "text/calendar", {"method": "REQUEST", "charset": "UTF-8"}),
        ("application/pdf", "application/pdf", {}),
        ("Text/CSV;Header=present", "text/csv", {"header": "present", "charset": "utf-8"}),
        ('text/plain; x="a; \\"b\\""; format=flowed;', "text/plain", {"x": 'a; "b"', "format": "flowed", "charset": "utf-8"}),
        ("application/vnd.ms-excel.sheet+xml", "application/vnd.ms-excel.sheet+xml", {}),
        ("message/rfc822", "application/octet-stream", {}),
        ("multipart/mixed; boundary=x", "application/octet-stream", {}),
    ],
)  # fmt: skip
def test_a_type_keeps_its_parameters(type, name, parameters):
    """Also quoted ones; what may not be base64 is octets."""
    found = attached(type=type)
    assert found.get_content_type() == name
    assert dict(found["Content-Type"].params) == parameters


@pytest.mark.parametrize(
    "type",
    ["", "pdf", "a/b/c", "text/plain; charset", "text/plain; a=b c", 'text/plain; a="b', "text/plain; a=1; A=2",
     "text/ plain", "text/plain\r\nBcc: x@example.org", 'text/plain; a="\r\nX: y"', "té/xt", "text/plain; =x",
     "text/plain; a=" + "x" * 600],
)  # fmt: skip
def test_what_is_no_type_is_refused(type):
    """With an example of one."""
    with pytest.raises(ValueError, match="application/pdf"):
        media_type(type)


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        (b"abc", "utf-8"),
        ("Zo\u00eb".encode(), "utf-8"),
        ("Zo\u00eb".encode("utf-16"), "utf-16"),
        ("Zo\u00eb".encode("latin-1"), None),
    ],
)
def test_a_text_says_in_which_charset_it_is(content, charset):
    """As far as its octets tell."""
    assert attached(content=content)["Content-Type"].params.get("charset") == charset
    assert "charset" not in attached(type="image/png", content=content)["Content-Type"].params


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("x" * 300 + ".pdf", ".pdf"),
        ("\u6f22" * 100 + ".docx", ".docx"),
        ("\u00e9" * 200 + ".tar.gz", ".tar.gz"),
        ("x" * 300, "x"),
        ("." + "x" * 300, "x"),
        ("a b." + "x" * 300, "x"),
        ("\U0001f600" * 80 + ".\u6587\u4ef6", ".\u6587\u4ef6"),
    ],
)
def test_a_long_name_keeps_its_extension(name, ending):
    """It says what opens the file; no character is cut in two."""
    found = attached(name=name).get_filename()
    assert found is not None
    assert found.endswith(ending)
    assert len(found.encode()) <= 150
    assert "\ufffd" not in found


def invited(invitation: Invitation, **content: Any) -> tuple[EmailMessage, str]:
    """The mail, and its invitation with lines unfolded."""
    mail = sent(
        EmailContent(subject="Plan; A, B", calendar=invitation, **{"text": "T", "html": "<p>H", **content})
    )
    (part,) = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    text = part.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    return mail, text.replace("\r\n ", "")


def test_an_invitation_stands_beside_the_text_and_as_a_file():
    """So that mail programs offer to answer (RFC 6047), and calendars can open it."""
    meeting = Invitation(
        uid="m-1", start="2026-05-01T14:00:00+02:00", end="2026-05-01T15:30:00+02:00", location="Room 4"
    )
    mail, text = invited(meeting)
    alternative, file = mail.iter_parts()
    assert [part.get_content_type() for part in alternative.iter_parts()] == [
        "text/plain",
        "text/html",
        "text/calendar",
    ]
    *_, part = alternative.iter_parts()
    assert part["Content-Type"].params == {"charset": "utf-8", "method": "REQUEST"}
    assert (file.get_filename(), file.get_content_type()) == ("invite.ics", "application/ics")
    assert file.get_payload(decode=True) == part.get_payload(decode=True)
    for line in (
        "METHOD:REQUEST", "UID:m-1", "SEQUENCE:0", "DTSTART:20260501T120000Z", "DTEND:20260501T133000Z", "LOCATION:Room 4",
        "SUMMARY:Plan\\; A\\, B", "STATUS:CONFIRMED", "VERSION:2.0",
    ):  # fmt: skip
        assert f"\r\n{line}\r\n" in text
    assert "ORGANIZER" in text
    assert "ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE" in text


def test_a_cancellation_and_a_day_are_said_as_calendars_expect():
    """The method in the type and in the object, a day as a date."""
    meeting = Invitation(
        uid="m-1", start="2026-05-01", method="cancel", sequence=2, organizer="a.b+c@example.org"
    )
    mail, text = invited(meeting, html="")
    assert "method=CANCEL" in mail.as_string()
    for line in ("METHOD:CANCEL", "STATUS:CANCELLED", "SEQUENCE:2", "DTSTART;VALUE=DATE:20260501", "DTEND;VALUE=DATE:20260502",
                 "ORGANIZER:mailto:a.b+c@example.org"):  # fmt: skip
        assert f"\r\n{line}\r\n" in text


@pytest.mark.parametrize("field", ["uid", "summary", "description", "location", "organizer_name"])
def test_no_value_gets_a_line_of_its_own_in_an_invitation(field):
    """However it is written."""
    evil = 'x\r\nATTACH:https://evil.example\n\tB\u2028C:";:\\,' + "\u6f22" * 60
    meeting = Invitation(uid="m", start="2026-05-01T14:00:00Z", organizer="o@example.org")
    _, plain = invited(meeting)
    _, text = invited(
        Invitation(**{**{f: getattr(meeting, f) for f in meeting.__struct_fields__}, field: evil})
    )

    def names(calendar: str) -> set[str]:
        return {line.partition(":")[0].partition(";")[0] for line in calendar.splitlines()}

    assert names(text) - names(plain) <= {"DESCRIPTION", "LOCATION"}
