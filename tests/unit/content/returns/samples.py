"""Mails that come back, written after the shapes that mail systems really use."""

from __future__ import annotations

from email.message import EmailMessage

ORIGINAL = (
    "Return-Path: <b+{tag}@bounces.example.com>\r\n"
    "From: News <news@example.com>\r\n"
    "To: Ada <ada@example.org>\r\n"
    "Subject: Hello\r\n"
    "Message-ID: <0197a0b0c0d0e0f00102030405060708@example.com>\r\n"
)
TAG = "0a" * 28


def report(
    diagnostic: str = "",
    status: str = "5.0.0",
    action: str = "failed",
    *,
    said: str = "This is the mail system. Your message could not be delivered.",
    final: str = "rfc822; ada@example.org",
    returned: str = "text/rfc822-headers",
) -> bytes:
    """A delivery status notification as RFC 3464 has it."""
    fields = f"Reporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: {final}\r\nAction: {action}\r\nStatus: {status}\r\n"
    if diagnostic:
        fields += f"Diagnostic-Code: smtp; {diagnostic}\r\n"
    return (
        "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\r\n"
        f"To: b+{TAG}@bounces.example.com\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=b"\r\n\r\n'
        f"--=b\r\nContent-Type: text/plain\r\n\r\n{said}\r\n"
        f"--=b\r\nContent-Type: message/delivery-status\r\n\r\n{fields}\r\n"
        f"--=b\r\nContent-Type: {returned}\r\n\r\n{ORIGINAL.format(tag=TAG)}\r\n--=b--\r\n"
    ).encode()


def mail(text: str, subject: str = "Hello", sender: str = "ada@example.org", **fields: str) -> bytes:
    """An ordinary mail; `auto_submitted="..."` becomes `Auto-Submitted: ...`."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = "news@example.com"
    made["Subject"] = subject
    for name, value in fields.items():
        made[name.replace("_", "-").title()] = value
    made.set_content(text)
    return made.as_bytes()


def daemon(text: str, subject: str = "failure notice") -> bytes:
    """A bounce in plain words."""
    return mail(text, subject, "MAILER-DAEMON@mx.example.net")


def feedback(kind: str = "abuse") -> bytes:
    """A complaint as RFC 5965 has it; the recipient is redacted, as most do."""
    return (
        "From: fbl@isp.example\r\nTo: abuse@example.com\r\nSubject: FW: Hello\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="=b"\r\n\r\n'
        "--=b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n"
        "--=b\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {kind}\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n"
        "Original-Rcpt-To: <ada@example.org>\r\n\r\n"
        f"--=b\r\nContent-Type: message/rfc822\r\n\r\n{ORIGINAL.format(tag=TAG)}\r\nHello\r\n--=b--\r\n"
    ).encode()


QMAIL = """Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ada@example.org>:
{reason}

--- Below this line is a copy of the message.

Return-Path: <news@example.com>
From: news@example.com
To: ada@example.org
Subject: user unknown, mailbox full, spam

user unknown
"""

EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ada@example.org
    host mx.example.org [192.0.2.1]
    SMTP error from remote mail server after {reason}

------ This is a copy of the message, including all the headers. ------

Return-path: <news@example.com>
To: ada@example.org
"""

EXCHANGE = """Your message

  To:      ada@example.org
  Subject: Hello
  Sent:    Thu, 29 Apr 2004 16:51:51 -0500

did not reach the following recipient(s):

ada@example.org on Thu, 29 Apr 2004 16:51:51 -0500
    {reason}
"""

DOMINO = """Your message

  Subject: Hello

was not delivered to:

  ada@example.org

because:

  {reason}
"""

GMAIL = """Delivery to the following recipient failed permanently:

     ada@example.org

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server for the recipient domain example.org.
We recommend contacting the other email provider for further information about the cause of this error.
The error that the other server returned was: {reason}

----- Original message -----

To: ada@example.org
"""

YAHOO = """Sorry, we were unable to deliver your message to the following address.

<ada@example.org>:
Remote host said:
{reason}
[RCPT_TO]

--- Below this line is a copy of the message.
"""
