"""A filter holds several workflows, channels and reasons: those of operations too."""

from typing import Any

import msgspec
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """What was one is the only one."""
    connection = op.get_bind()
    for place, body in connection.exec_driver_sql("SELECT id, body FROM operations").fetchall():
        connection.exec_driver_sql("UPDATE operations SET body = ? WHERE id = ?", (_several(body), place))


def _several(packed: bytes) -> bytes:
    where: dict[str, Any] = msgspec.msgpack.decode(packed)
    for name in ("workflow", "channel", "reason"):
        one = where.pop(name, None)
        where[f"{name}s"] = [] if one is None else [one]
    return msgspec.msgpack.encode(where)
