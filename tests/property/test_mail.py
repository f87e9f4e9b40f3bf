"""Mails are read as they were meant, by the standard library and by parsers that others wrote."""

import base64
import json
import subprocess
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fast_mail_parser import parse_email
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.content.mail.headers import cleaned
from clarion.model.content import Attachment
from clarion.model.ids import MessageId
from clarion.ports.mail import OutgoingEmail
from tests.mails import SENDER, message, mime_builder, outgoing_email
from tests.needs import require, require_npm

READER = Path(__file__).parents[1] / "npm" / "read-mail.js"

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
bodies = st.one_of(
    words,
    st.lists(words, max_size=20).map("\n".join),
    st.text("ab=.-\r\n \tü", max_size=400),
    st.text("x", min_size=990, max_size=1_100),
)
local_parts = st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(\.[a-z0-9]{1,10}){0,2}", fullmatch=True)
attachments = st.builds(
    Attachment,
    name=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40),
    type=st.sampled_from(["application/pdf", "image/png", "text/plain", "application/octet-stream"]),
    content=st.binary(max_size=300),
    inline_id=st.sampled_from(["", "", "logo", "chart@clarion"]),
)
outgoing_emails = st.builds(
    outgoing_email,
    subject=words,
    to_name=words,
    to=local_parts.map(lambda local: f"{local}@example.org"),
    text=bodies,
    html=st.one_of(st.just(""), bodies.map(lambda body: f"<html><body>{body}</body></html>")),
    attachments=st.lists(attachments, max_size=3).map(tuple),
    message=st.binary(min_size=16, max_size=16).map(lambda octets: message(id=MessageId(octets))),
)


def shown(text: str) -> str:
    """A text as any reader may show it: line ends alike, no control characters, no blank ends."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in plain if c in "\n\t" or not (ord(c) < 32 or ord(c) == 127)).rstrip("\n")


def seen(subject: str) -> str:
    """A subject as a reader may show it: runs of blanks and marks that join nothing aside."""
    return " ".join(cleaned(subject).split())


def leaves(mail: EmailMessage) -> tuple[dict[str, str], list[EmailMessage]]:
    """The texts by subtype, and the files."""
    texts: dict[str, str] = {}
    files: list[EmailMessage] = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        if part.get_content_disposition() is None:
            texts[part.get_content_subtype()] = part.get_content()
        else:
            files.append(part)
    return texts, files


@settings(max_examples=300, deadline=None)
@given(outgoing_emails, st.booleans())
def test_the_standard_library_reads_what_was_written(one: OutgoingEmail, seven_bit: bool):
    """Subject, addresses, both texts and every file come back, nothing is defective, and no octet is out of place."""
    sender = msgspec.structs.replace(SENDER, seven_bit=seven_bit)
    mail = mime_builder().make(sender, one)
    parsed = message_from_bytes(mail.body, policy=SMTP)
    assert not any(part.defects for part in parsed.walk())
    assert parsed["subject"] == cleaned(one.content.subject)
    assert parsed["to"].addresses[0].addr_spec == one.to == mail.recipient
    texts, files = leaves(parsed)
    if one.content.text or not one.content.html:
        assert shown(texts["plain"]) == shown(one.content.text)
    if one.content.html:
        assert shown(texts["html"]) == shown(one.content.html)
    wanted = sorted((f.inline_id, f.type, f.content) for f in one.content.attachments)
    found = [
        (str(p.get("content-id", "")).strip("<>"), p.get_content_type(), p.get_payload(decode=True))
        for p in files
    ]
    assert sorted(found) == wanted
    assert all(len(line) <= 998 for line in mail.body.split(b"\r\n"))
    assert mail.body.endswith(b"\r\n")
    assert b"\n" not in mail.body.replace(b"\r\n", b"")
    assert b"\r" not in mail.body.replace(b"\r\n", b"")
    assert not seven_bit or mail.body.isascii()


@settings(max_examples=200, deadline=None)
@given(outgoing_emails)
def test_a_parser_in_rust_reads_the_same(one: OutgoingEmail):
    """`fast-mail-parser`, on the mailparse crate."""
    read = parse_email(mime_builder().make(SENDER, one).body)
    assert seen(read.subject) == seen(one.content.subject)
    if one.content.text or not one.content.html:
        assert shown(read.text_plain[0]) == shown(one.content.text)
    if one.content.html:
        assert shown(read.text_html[0]) == shown(one.content.html)


@cache
def samples() -> list[OutgoingEmail]:
    """Letters that have shown themselves to be difficult, and all kinds of parts."""
    pdf = Attachment(name="Rechnung für März.pdf", type="application/pdf", content=b"%PDF\r\n\0\xff" * 50)
    logo = Attachment(name="logo.png", type="image/png", content=b"\x89PNG", inline_id="logo")
    html = '<html><body><p>Grüße, <img src="cid:logo"></p></body></html>'
    subjects = [
        "Hello",
        "Größe",
        "訂單已寄出" * 20,
        'a, b; "c" <d@e>',
        "=?utf-8?q?x?=",
        "word " * 60,
        "👩‍👩‍👧 ok",
    ]
    texts = [
        "Hello",
        ".\n..\n.dot",
        "Grüße\n" * 200,
        "x" * 3_000,
        "Привет " * 300,
        "tail \n \n",
        "From here\n>From there",
    ]
    shapes: list[dict[str, Any]] = [
        {},
        {"html": html},
        {"html": html, "attachments": (logo,)},
        {"html": html, "attachments": (logo, pdf)},
        {"attachments": (pdf,)},
    ]
    return [
        outgoing_email(subject, text=text, to_name=name, **shape)
        for subject in subjects
        for text in texts
        for shape, name in zip(shapes, ["", "Ada", "Lovelace, Ada", "Ünï çödé " * 8, '"'], strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("seven_bit", [False, True])
def test_the_parser_of_nodemailer_reads_the_same(seven_bit):
    """npm's `mailparser`: names, both texts, files, and which of them belong to the HTML."""
    require_npm("mailparser", "a second opinion on our MIME")
    node = require("node", "a second opinion on our MIME")
    sender = msgspec.structs.replace(SENDER, seven_bit=seven_bit)
    written = [mime_builder().make(sender, one).body for one in samples()]
    said = subprocess.run(
        [node, str(READER)],
        input=b"".join(base64.b64encode(raw) + b"\n" for raw in written),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
        env={"NODE_PATH": str(require_npm("mailparser", "").parent), "PATH": "/usr/bin:/bin"},
    ).stdout.splitlines()
    for one, line in zip(samples(), said, strict=True):
        read = json.loads(line)
        assert seen(read["subject"]) == seen(one.content.subject)
        assert read["from"] == {"address": "news@example.com", "name": "Example News"}
        assert read["to"]["address"] == one.to
        assert seen(read["to"]["name"]) == seen(one.to_name)
        assert shown(read["text"]) == shown(one.content.text)
        assert shown(read["html"]) == shown(one.content.html)
        files = {(f["name"], f["type"], f["id"], f["related"]) for f in read["attachments"]}
        wanted = one.content.attachments
        assert files == {(f.name, f.type, f.inline_id, bool(f.inline_id)) for f in wanted}
        contents = {base64.b64decode(f["content"]) for f in read["attachments"]}
        assert contents == {f.content for f in wanted}
