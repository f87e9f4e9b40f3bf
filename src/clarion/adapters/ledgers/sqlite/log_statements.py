"""Statements about the log of each lane, and the cursors in it.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.row_encoding import array, insert
from clarion.model.channel import LANES, Lane

APPEND = {
    lane: f"""
    INSERT INTO log_{lane.value} (event_id, tenant, workflow, sealed_for, sealed, setup_revision)
    VALUES (?, ?, ?, ?, ?, ?)
"""
    for lane in LANES
}

LAST_ROW = "SELECT last_insert_rowid()"

_ENTRY = array("seq, hex(event_id), tenant, workflow, sealed_for, hex(sealed), setup_revision")


def not_ahead(lane: Lane) -> str:
    return f"""NOT EXISTS (
        SELECT 1 FROM planned_ahead WHERE planned_ahead.lane = '{lane.value}' AND planned_ahead.seq = log_{lane.value}.seq
    )"""


READ = {
    lane: f"""
    SELECT {_ENTRY} FROM (
        SELECT * FROM log_{lane.value} WHERE seq > ? AND {not_ahead(lane)} ORDER BY seq LIMIT ?
    )
"""
    for lane in LANES
}

BODIES = {
    lane: f"""
    SELECT {_ENTRY} FROM json_each(?1) AS wanted CROSS JOIN log_{lane.value} AS log WHERE log.seq = (
        SELECT min(seq) FROM log_{lane.value} INDEXED BY log_{lane.value}_event
        WHERE event_id = substr(?2, wanted.key * 16 + 1, 16) AND workflow = wanted.value ->> 0
    )
"""
    for lane in LANES
}
"""The first entry of each, planned or not."""

POSITION = "SELECT position FROM cursors WHERE lane = ?"

END = "SELECT seq FROM sqlite_sequence WHERE name = ?"

ADVANCE = """
    INSERT INTO cursors (lane, position) VALUES (?1, ?2)
    ON CONFLICT (lane) DO UPDATE SET position = max(position, excluded.position)
"""

AHEAD = f"SELECT {array('seq')} FROM planned_ahead WHERE lane = ?"

AHEAD_ADD = insert("planned_ahead", {"lane": "?2", "seq": "value"}) + "WHERE true ON CONFLICT DO NOTHING"

AHEAD_PASSED = "DELETE FROM planned_ahead WHERE lane = ? AND seq <= ?"

TAKE_LANE = """
    INSERT INTO cursors (lane, position, worker) VALUES (?1, 0, ?2)
    ON CONFLICT (lane) DO UPDATE SET worker = excluded.worker
    WHERE worker IS NULL OR worker = excluded.worker
        OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = cursors.worker AND NOT reaped)
    RETURNING lane
"""
