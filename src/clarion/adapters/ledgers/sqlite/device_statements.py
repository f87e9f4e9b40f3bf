"""The SQL statements of `devices`. How rows become parameters: `row_encoding`."""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.row_encoding import array, field, id_at
from clarion.model.channel import Channel
from clarion.model.status import Reason

DEVICE_PUT = """
    INSERT INTO devices (tenant, device_id, user, hash, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (tenant, device_id) DO UPDATE SET user = ?3, seen_at = ?5, hash = ?4,
        error = CASE WHEN hash IS ?4 THEN error END,
        error_detail = CASE WHEN hash IS ?4 THEN error_detail END,
        error_at = CASE WHEN hash IS ?4 THEN error_at END
"""
"""What another token was refused for says nothing about this one."""
DEVICES_DROP = """
    DELETE FROM devices WHERE tenant = ?1 AND user = ?2 AND device_id IN (SELECT value FROM json_each(?3))
"""
DEVICE_ALLOW = f"""
    DELETE FROM suppressions WHERE tenant = ?1 AND hash = ?2 AND channel = '{Channel.PUSH.value}'
        AND reason = '{Reason.ADDRESS_GONE.value}'
"""

_STATE = array("no, tenant, device_id, user, seen_at, error, error_detail, error_at")
"""What `devices.state` reads."""

DEVICE = f"SELECT {_STATE} FROM devices WHERE tenant = ?1 AND device_id = ?2"
DEVICES_PAGE = f"""
    SELECT {_STATE} FROM (SELECT * FROM devices WHERE tenant = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3)
"""
DEVICES_OF_USER = f"""
    SELECT {_STATE} FROM (
        SELECT * FROM devices WHERE user = ?4 AND no < ?2 AND tenant = ?1 ORDER BY no DESC LIMIT ?3
    )
"""
DEVICES_OLD = """
    SELECT seen_at, no, tenant, user, device_id FROM devices
    WHERE (seen_at, no) > (?1, ?2) AND seen_at < ?3 ORDER BY seen_at, no LIMIT ?4
"""

REGISTERED_SINCE = f"""
    SELECT {array("wanted.key")} FROM json_each(?1) AS wanted CROSS JOIN devices
    WHERE devices.tenant = wanted.value ->> 0 AND devices.hash = substr(?2, wanted.key * 16 + 1, 16)
        AND devices.seen_at > wanted.value ->> 1
"""

DEVICES_REFUSED = f"""
    WITH new AS MATERIALIZED (
        SELECT {field(0)} AS tenant, {field(1)} AS reason, {field(2)} AS detail, {field(3)} AS at,
            {id_at(0, 1)} AS hash
        FROM json_each(?1)
    )
    UPDATE devices SET error = new.reason, error_detail = new.detail, error_at = new.at
    FROM new WHERE devices.tenant = new.tenant AND devices.hash = new.hash
"""

ERASE = ("DELETE FROM devices WHERE user = ?1",)
"""With everything else about a person."""
