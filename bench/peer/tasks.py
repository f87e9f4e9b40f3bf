"""The peer's worker: one dramatiq task a mail, which decides, renders, sends and records."""

from __future__ import annotations

import ctypes
import os
import signal
import smtplib
import threading
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from zoneinfo import ZoneInfo

import dramatiq
from database import Change, Notification, Preference, Session, Suppression
from dramatiq.brokers.redis import RedisBroker
from jinja2 import DictLoader, Environment
from sqlalchemy import func, orm, select

ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a worker ends with what started it
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
_thread = threading.local()


@dramatiq.actor(max_retries=5)
def deliver(number: int) -> None:
    """Send one mail, unless something speaks against it. A task that runs twice sends nothing twice."""
    with Session() as session:
        notification = session.get_one(Notification, number, with_for_update={"of": Notification})
        if notification.status != "queued":
            return
        against = _against(session, notification)
        if against is not None:
            _record(session, notification, "suppressed", against)
            return
        mail = _mail(notification)
        _record(session, notification, "sending")
        _send(mail)
        _record(session, notification, "sent")


def _against(session: orm.Session, notification: Notification) -> str | None:
    """What keeps the mail from being sent."""
    user = notification.user
    choice = session.get(Preference, (user.id, notification.category, "email"))
    if choice is not None and not choice.wanted:
        return "preferences"
    if session.get(Suppression, user.email) is not None:
        return "suppression"
    hour = datetime.now(ZoneInfo(user.timezone)).hour
    if user.quiet_from <= hour < user.quiet_until:
        return "quiet hours"
    since = datetime.now(UTC) - timedelta(days=1)
    counted = select(func.count()).where(Notification.user_id == user.id, Notification.created_at > since)
    return "cap" if session.scalar(counted) > DAILY_CAP else None


def _record(session: orm.Session, notification: Notification, status: str, detail: str | None = None) -> None:
    notification.status = status
    session.add(Change(notification_id=notification.id, status=status, detail=detail))
    session.commit()


def _mail(notification: Notification) -> EmailMessage:
    user = notification.user
    values = {"user": user.id, **notification.data}
    mail = EmailMessage()
    mail["From"] = "Example News <news@example.com>"
    mail["To"] = user.email
    mail["Subject"] = TEMPLATES.get_template(f"{user.locale}.subject").render(values)
    mail["Message-ID"] = make_msgid(domain="example.com")
    mail.set_content(TEMPLATES.get_template(f"{user.locale}.text").render(values))
    mail.add_alternative(TEMPLATES.get_template(f"{user.locale}.html").render(values), subtype="html")
    return mail


def _send(mail: EmailMessage) -> None:
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
