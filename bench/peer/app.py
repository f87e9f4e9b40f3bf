"""The peer's HTTP side: a batch of notifications is stored in one transaction, then a task is queued for each."""

from __future__ import annotations

from database import Change, Notification, Session
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from tasks import deliver

app = FastAPI()


class Event(BaseModel):
    """What one user is to be told."""

    id: str
    user: str
    category: str
    data: dict[str, object]


@app.post("/notifications", status_code=202)
def accept(events: list[Event]) -> dict[str, int]:
    """Stored before the answer; a repeated id is ignored."""
    rows = [{"event_id": e.id, "user_id": e.user, "category": e.category, "data": e.data} for e in events]
    new = upsert(Notification).on_conflict_do_nothing().returning(Notification.id)
    with Session.begin() as session:
        numbers = list(session.scalars(new, rows))
        if numbers:
            session.execute(insert(Change), [{"notification_id": n, "status": "queued"} for n in numbers])
    for number in numbers:
        deliver.send(number)
    return {"accepted": len(numbers)}


@app.get("/changes")
def changes() -> dict[str, int]:
    """How many notifications have reached each status."""
    with Session() as session:
        found = session.execute(
            select(Change.status, func.count().label("number")).group_by(Change.status)
        ).all()
    return {row.status: row.number for row in found}
