"""The cursor of a lane moves with the plan, and knows what is planned behind it."""

from alembic import op

revision = "0027"
down_revision = "0026"

_STEPS = (
    "ALTER TABLE cursors ADD COLUMN worker INTEGER",
    """CREATE TABLE planned_ahead (
    lane TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (lane, seq)
) WITHOUT ROWID""",
    """INSERT OR IGNORE INTO planned_ahead (lane, seq) SELECT lane, event_seq FROM set_aside
    WHERE event_seq > coalesce((SELECT position FROM cursors WHERE cursors.lane = set_aside.lane), 0)""",
)
_LANES = ("critical", "high", "normal", "bulk")
_PLANNED = """INSERT OR IGNORE INTO planned_ahead (lane, seq) SELECT ?1, seq FROM events
    WHERE lane = ?2 AND seq > coalesce((SELECT position FROM cursors WHERE lane = ?1), 0)
    AND EXISTS (SELECT 1 FROM log_{lane} WHERE log_{lane}.seq = events.seq AND log_{lane}.event_id = events.id)"""


def upgrade() -> None:
    """What went ahead of a flood does not come again."""
    connection = op.get_bind()
    for statement in _STEPS:
        connection.exec_driver_sql(statement)
    for number, lane in enumerate(_LANES):
        connection.exec_driver_sql(_PLANNED.format(lane=lane), (lane, number))
