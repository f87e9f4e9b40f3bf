"""Weekdays are named: windows of categories and workflows list `mon` to `sun` instead of 0 to 6."""

from typing import Any

import msgspec
from alembic import op

revision = "0013"
down_revision = "0012"

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def upgrade() -> None:
    """All versions of both. (People's quiet hours are sealed: they are read either way and stored the new way.)"""
    connection = op.get_bind()
    found = connection.exec_driver_sql(
        "SELECT shelf, tenant, key, version, body FROM documents WHERE shelf IN ('category', 'workflow')"
    ).fetchall()
    for *place, body in found:
        document: dict[str, Any] = msgspec.json.decode(body)
        windows = [window for window in document.get("send_window", ()) if "days" in window]
        for window in windows:
            window["days"] = [_DAYS[day] for day in window["days"]]
        if windows:
            connection.exec_driver_sql(
                "UPDATE documents SET body = ? WHERE shelf = ? AND tenant = ? AND key = ? AND version = ?",
                (msgspec.json.encode(document), *place),
            )
