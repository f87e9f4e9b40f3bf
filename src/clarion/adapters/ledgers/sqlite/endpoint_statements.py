"""The SQL statements of `endpoints` and `deliveries`. How rows become parameters: `row_encoding`."""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.row_encoding import bytes_at, field, id_at
from clarion.model.channel import Channel

ENDPOINT_ADD = "INSERT INTO endpoints (tenant, id, user) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
ENDPOINT_DROP = "DELETE FROM endpoints WHERE tenant = ?1 AND id = ?2"
ENDPOINT_OFF = "UPDATE endpoints SET announced = 1 WHERE tenant = ?1 AND id = ?2"
ENDPOINT_ON = "UPDATE endpoints SET announced = 0, failing_since = NULL WHERE tenant = ?1 AND id = ?2"
ENDPOINT_ALLOW = f"""
    DELETE FROM suppressions WHERE tenant = ?1 AND hash = ?2 AND channel = '{Channel.WEBHOOK.value}'
"""

_STATE = "json_group_array(json_array(hex(id), tenant, user, failing_since, at, coalesce(reason, '')))"
"""What `endpoints.state` reads."""
_STATES = f"""
    (SELECT endpoints.*, off.at, off.reason FROM endpoints LEFT JOIN suppressions AS off
    ON off.tenant = endpoints.tenant AND off.hash = endpoints.id AND off.channel = '{Channel.WEBHOOK.value}'
"""

ENDPOINT = f"SELECT {_STATE} FROM {_STATES} WHERE endpoints.tenant = ?1 AND endpoints.id = ?2)"
ENDPOINTS_PAGE = f"""
    SELECT {_STATE} FROM {_STATES}
    WHERE endpoints.tenant = ?1 AND endpoints.id < ?2 ORDER BY endpoints.id DESC LIMIT ?3)
"""
ENDPOINTS_OF_USER = f"""
    SELECT {_STATE} FROM {_STATES}
    WHERE endpoints.user = ?4 AND endpoints.id < ?2 AND endpoints.tenant = ?1 ORDER BY endpoints.id DESC LIMIT ?3)
"""
ENDPOINTS_FAILING = f"""
    SELECT {_STATE} FROM {_STATES}
    WHERE endpoints.failing_since IS NOT NULL AND endpoints.announced = 0
        AND (off.at IS NOT NULL OR ?1 <= -endpoints.failing_since + (
            SELECT newest.at FROM deliveries AS newest WHERE newest.endpoint = endpoints.id ORDER BY seq DESC LIMIT 1
        ))
    ORDER BY endpoints.failing_since LIMIT ?2)
"""

DELIVERIES_ADD = f"""
    INSERT INTO deliveries (message_id, endpoint, tenant, user, ok, status, took_ms, at, sealed)
    SELECT {id_at(0, 2)}, {id_at(1, 2)}, {field(0)}, {field(1)}, {field(2)}, {field(3)}, {field(4)}, {field(5)},
        {bytes_at(6, 7)}
    FROM json_each(?1)
"""
ENDPOINTS_WELL = f"""
    WITH new AS MATERIALIZED (SELECT {field(0)} AS tenant, {id_at(0, 1)} AS id FROM json_each(?1))
    UPDATE endpoints SET failing_since = NULL FROM new
    WHERE endpoints.tenant = new.tenant AND endpoints.id = new.id AND failing_since IS NOT NULL
"""
ENDPOINTS_FAIL = f"""
    WITH new AS MATERIALIZED (
        SELECT {field(0)} AS tenant, {field(1)} AS at, {id_at(0, 1)} AS id FROM json_each(?1)
    )
    UPDATE endpoints SET failing_since = new.at FROM new
    WHERE endpoints.tenant = new.tenant AND endpoints.id = new.id AND failing_since IS NULL
"""

_DELIVERY = "seq, hex(endpoint), hex(message_id), tenant, user, ok, status, took_ms, at, hex(sealed)"
"""What `deliveries.delivery` reads."""

DELIVERIES_PAGE = f"""
    SELECT json_group_array(json_array({_DELIVERY})) FROM (
        SELECT * FROM deliveries
        WHERE endpoint = ?2 AND (?3 IS NULL OR seq < ?3) AND tenant = ?1 AND (?5 IS NULL OR ok = ?5)
            AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7)
        ORDER BY seq DESC LIMIT ?4
    )
"""

ERASE = (
    "DELETE FROM deliveries WHERE endpoint IN (SELECT id FROM endpoints WHERE user = ?1)",
    "DELETE FROM endpoints WHERE user = ?1",
)
"""With everything else about a person."""
