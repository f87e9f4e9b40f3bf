"""The peer's worker: one dramatiq task a mail, which looks up, decides, renders, sends and records."""

from __future__ import annotations

import os
import smtplib
import threading
from datetime import datetime
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Any
from zoneinfo import ZoneInfo

import dramatiq
from database import pool
from dramatiq.brokers.redis import RedisBroker
from jinja2 import DictLoader, Environment
from psycopg.rows import namedtuple_row

dramatiq.set_broker(RedisBroker(url=os.environ["PEER_REDIS"]))

DAILY_CAP = 100_000
TEXTS = {
    "en": ("Order {{ n }} is on its way", "Hello {{ user }}, your order leaves {{ place }} today."),
    "de": (
        "Bestellung {{ n }} ist unterwegs",
        "Hallo {{ user }}, deine Bestellung verlässt heute {{ place }}.",
    ),
    "fr": ("Votre commande {{ n }} est en route", "Bonjour {{ user }}, votre commande quitte {{ place }}."),
}
HTML = "<html><body><h1>{0}</h1><p>{1}</p>" + "<p>Thank you for your trust in us.</p>" * 40 + "</body></html>"
TEMPLATES = Environment(
    autoescape=lambda name: name is not None and name.endswith("html"),
    loader=DictLoader(
        {f"{locale}.subject": title for locale, (title, _) in TEXTS.items()}
        | {f"{locale}.text": body for locale, (_, body) in TEXTS.items()}
        | {f"{locale}.html": HTML.format(title, body) for locale, (title, body) in TEXTS.items()}
    ),
)
FIND = """
SELECT n.status, n.data, u.id AS user, u.email, u.locale, u.timezone, u.wants_email, u.quiet_from, u.quiet_until,
  EXISTS (SELECT FROM suppressions s WHERE s.address = u.email) AS suppressed,
  (SELECT count(*) FROM notifications c WHERE c.user_id = u.id AND c.created_at > now() - interval '1 day') AS today
FROM notifications n JOIN users u ON u.id = n.user_id WHERE n.id = %s
"""
END = """
WITH ended AS (UPDATE notifications SET status = %(status)s, ended_at = now() WHERE id = %(id)s)
INSERT INTO history (notification_id, status, detail) VALUES (%(id)s, %(status)s, %(detail)s)
"""
_thread = threading.local()


@dramatiq.actor(max_retries=5)
def deliver(number: int) -> None:
    """Send one mail, unless something speaks against it."""
    with pool.connection() as connection:
        cursor = connection.cursor(row_factory=namedtuple_row)
        row: Any = cursor.execute(FIND, [number]).fetchone()
    if row.status != "queued":
        return
    against = _against(row)
    if against is None:
        _send(row)
    with pool.connection() as connection:
        ended = {"id": number, "status": "sent" if against is None else "suppressed", "detail": against}
        connection.execute(END, ended)


def _against(row: Any) -> str | None:
    if not row.wants_email:
        return "preferences"
    if row.suppressed:
        return "suppressed"
    if row.today > DAILY_CAP:
        return "cap"
    hour = datetime.now(ZoneInfo(row.timezone)).hour
    return "quiet hours" if row.quiet_from <= hour < row.quiet_until else None


def _send(row: Any) -> None:
    values = {"user": row.user, **row.data}
    mail = EmailMessage()
    mail["From"] = "Example News <news@example.com>"
    mail["To"] = row.email
    mail["Subject"] = TEMPLATES.get_template(f"{row.locale}.subject").render(values)
    mail["Message-ID"] = make_msgid(domain="example.com")
    mail.set_content(TEMPLATES.get_template(f"{row.locale}.text").render(values))
    mail.add_alternative(TEMPLATES.get_template(f"{row.locale}.html").render(values), subtype="html")
    try:
        _server().send_message(mail)
    except smtplib.SMTPServerDisconnected:
        _thread.server = None
        _server().send_message(mail)


def _server() -> smtplib.SMTP:
    """This thread's connection to the mail server, kept open."""
    server: smtplib.SMTP | None = getattr(_thread, "server", None)
    if server is None:
        server = _thread.server = smtplib.SMTP("127.0.0.1", int(os.environ["PEER_SMTP_PORT"]))
    return server
