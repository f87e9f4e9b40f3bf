"""The peer's HTTP side: a batch of notifications is stored in one transaction, then a task is queued for each."""

from __future__ import annotations

from database import pool
from fastapi import FastAPI
from psycopg.types.json import Json
from pydantic import BaseModel
from tasks import deliver

app = FastAPI()
STORE = """
INSERT INTO notifications (event_id, user_id, data)
SELECT * FROM unnest(%s::text[], %s::text[], %s::jsonb[]) ON CONFLICT (event_id) DO NOTHING RETURNING id
"""


class Notification(BaseModel):
    """One event for one user."""

    id: str
    user: str
    data: dict[str, object]


@app.post("/notifications", status_code=202)
def accept(notifications: list[Notification]) -> dict[str, int]:
    """Stored before the answer; a repeated id is ignored."""
    columns = [
        [n.id for n in notifications],
        [n.user for n in notifications],
        [Json(n.data) for n in notifications],
    ]
    with pool.connection() as connection:
        numbers = [number for (number,) in connection.execute(STORE, columns)]
    for number in numbers:
        deliver.send(number)
    return {"accepted": len(numbers)}


@app.get("/ended")
def ended() -> dict[str, int]:
    """How many notifications have ended, by status."""
    with pool.connection() as connection:
        return dict(connection.execute("SELECT status, count(*) FROM history GROUP BY status").fetchall())
