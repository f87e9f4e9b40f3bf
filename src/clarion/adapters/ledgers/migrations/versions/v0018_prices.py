"""Prices are decimal money by channel, in a document of their own."""

from decimal import Decimal
from typing import Any

import msgspec
from alembic import op

revision = "0018"
down_revision = "0017"

_NO_CURRENCY = "XXX"
"""ISO 4217 for none: that of a list that named none."""


def upgrade() -> None:
    """The prices of text messages move, and their floating point numbers become what people wrote."""
    connection = op.get_bind()
    for tenant, body in connection.exec_driver_sql("SELECT id, body FROM tenants").fetchall():
        document: dict[str, Any] = msgspec.json.decode(body)
        currency = document.pop("sms_currency", "") or _NO_CURRENCY
        if table := document.pop("sms_prices", {}):
            document["prices"] = {
                "sms": {
                    row: {"amount": f"{Decimal(str(price)):f}", "currency": currency}
                    for row, price in table.items()
                }
            }
        connection.exec_driver_sql(
            "UPDATE tenants SET body = ? WHERE id = ?", (msgspec.json.encode(document), tenant)
        )
