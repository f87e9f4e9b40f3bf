"""Each partition of a source has a position and a reader of its own.

A process of the version before takes up no sources and sinks beside this one.
"""

from alembic import op

revision = "0044"
down_revision = "0043"

_COLUMNS = 'tenant, kind, "key", partition, position, fence, repeat, worker, lag, trouble, at'
_SPLIT = f"""
    INSERT INTO readings ({_COLUMNS})
    SELECT tenant, kind, readings."key", one.key, {{position}}, fence, repeat, worker, NULL, trouble, at
    FROM readings, {{each}} AS one WHERE kind = 'source' AND one.key <> ''
"""
_WITHOUT_SPLIT = """
    DELETE FROM readings WHERE partition = '' AND EXISTS (
        SELECT 1 FROM readings AS part
        WHERE part.tenant = readings.tenant AND part.kind = readings.kind AND part."key" = readings."key"
            AND part.partition <> ''
    )
"""
_SQLITE = (
    "ALTER TABLE readings RENAME TO readings_before",
    """CREATE TABLE readings (
    tenant INTEGER NOT NULL,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    partition TEXT NOT NULL,
    position TEXT DEFAULT '{}' NOT NULL,
    fence INTEGER DEFAULT 0 NOT NULL,
    repeat INTEGER DEFAULT 0 NOT NULL,
    worker INTEGER,
    lag INTEGER,
    trouble TEXT DEFAULT '' NOT NULL,
    at INTEGER,
    PRIMARY KEY (tenant, kind, "key", partition),
    CONSTRAINT kind_known CHECK (kind IN ('source', 'sink'))
) WITHOUT ROWID""",
    f"""INSERT INTO readings ({_COLUMNS})
    SELECT tenant, kind, "key", '', position, fence, repeat, worker, lag, trouble, at FROM readings_before""",
    "DROP TABLE readings_before",
    _SPLIT.format(position="json_object(one.key, one.value)", each="json_each(readings.position)"),
    _WITHOUT_SPLIT,
)
_POSTGRESQL = (
    "ALTER TABLE readings ADD COLUMN partition text COLLATE \"C\" NOT NULL DEFAULT ''",
    "ALTER TABLE readings ALTER COLUMN partition DROP DEFAULT",
    'ALTER TABLE readings DROP CONSTRAINT readings_pkey, ADD PRIMARY KEY (tenant, kind, "key", partition)',
    _SPLIT.format(
        position="json_build_object(one.key, one.value)::text",
        each="json_each_text(readings.position::json)",
    ),
    _WITHOUT_SPLIT,
)


def upgrade() -> None:
    """Split the positions of sources by partition."""
    there = op.get_context().dialect.name
    for statement in _POSTGRESQL if there == "postgresql" else _SQLITE:
        op.execute(statement)
