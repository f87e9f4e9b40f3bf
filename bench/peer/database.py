"""The peer's tables and its connection to PostgreSQL."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Identity, create_engine, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

engine = create_engine(os.environ["PEER_DATABASE"], pool_size=int(os.environ["PEER_CONNECTIONS"]))
Session = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """All tables."""


class User(Base):
    """A recipient with contact, language and quiet hours."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    locale: Mapped[str]
    timezone: Mapped[str]
    quiet_from: Mapped[int]
    quiet_until: Mapped[int]


class Preference(Base):
    """A user's choice for a category on a channel."""

    __tablename__ = "preferences"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    wanted: Mapped[bool]


class Suppression(Base):
    """An address that gets nothing any more."""

    __tablename__ = "suppressions"
    address: Mapped[str] = mapped_column(primary_key=True)


class Notification(Base):
    """One event for one user, and how far it is."""

    __tablename__ = "notifications"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    event_id: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    category: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(default="queued")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    user: Mapped[User] = relationship(lazy="joined")


class Change(Base):
    """One line of a notification's history."""

    __tablename__ = "changes"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    notification_id: Mapped[int] = mapped_column(ForeignKey("notifications.id"), index=True)
    status: Mapped[str]
    detail: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
