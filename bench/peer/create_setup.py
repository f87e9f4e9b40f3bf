"""The peer's tables and users: reads lines of id, address, locale and time zone."""

from __future__ import annotations

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from database import Base, Preference, Session, User, engine


def later(zone: str, hours: int) -> int:
    """An hour of the day that is not now: quiet hours are looked at and never hold."""
    return (datetime.now(ZoneInfo(zone)).hour + hours) % 24


Base.metadata.create_all(engine)
users, preferences = [], []
for line in sys.stdin:
    user, address, locale, zone = line.rstrip("\n").split("\t")
    quiet = {"quiet_from": later(zone, 6), "quiet_until": later(zone, 7)}
    users.append(User(id=user, email=address, locale=locale, timezone=zone, **quiet))
    preferences.append(Preference(user_id=user, category="updates", channel="email", wanted=True))
with Session.begin() as session:
    session.add_all(users)
    session.flush()
    session.add_all(preferences)
