"""The peer's PostgreSQL connections."""

from __future__ import annotations

import os

from psycopg_pool import ConnectionPool

pool = ConnectionPool(
    os.environ["PEER_DATABASE"], min_size=2, max_size=int(os.environ.get("PEER_CONNECTIONS", "8"))
)
