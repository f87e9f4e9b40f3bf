"""The keys of claims leave the table of claims, which then is written in order only."""

from alembic import op

from clarion.adapters.ledgers.migrations import slices

revision = "0029"
down_revision = "0028"

SLICE = 20_000
"""Claims converted in one transaction."""

_TABLES = (
    """CREATE TABLE claims (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    "key" BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    answer BLOB NOT NULL,
    expires_at INTEGER NOT NULL
)""",
    """CREATE TABLE claim_keys (
    "key" BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY ("key", tenant)
) WITHOUT ROWID""",
    # A position is never given away twice, also when the claims of before are all purged.
    "INSERT INTO sqlite_sequence (name, seq) SELECT 'claims', seq FROM sqlite_sequence WHERE name = 'claims_before'",
)
_COPY = "INSERT INTO claims SELECT seq, tenant, key, fingerprint, answer, expires_at FROM claims_before WHERE seq > ?1 AND seq <= ?2"
_UPTO = """SELECT coalesce(
    (SELECT seq FROM claims_before WHERE seq > ?1 ORDER BY seq LIMIT 1 OFFSET ?2),
    (SELECT max(seq) FROM claims_before WHERE seq > ?1)
)"""
_KEYS = "INSERT INTO claim_keys (key, tenant, seq) SELECT key, tenant, seq FROM claims ORDER BY key, tenant"
_SAY = (
    "INSERT OR REPLACE INTO meta (key, value) SELECT 'claim_keys', max(seq) FROM claims HAVING max(seq) > 0"
)


def upgrade() -> None:
    """A slice at a time: cut off, it goes on behind the last claim that was stored."""
    run = op.get_bind().exec_driver_sql
    there = run("SELECT count(*) FROM sqlite_master WHERE name = 'claims_before'").scalar_one()
    if not there:
        run("ALTER TABLE claims RENAME TO claims_before")
        for statement in _TABLES:
            run(statement)
    total = run("SELECT count(*) FROM claims_before").scalar_one()
    stored = run("SELECT count(*) FROM claims").scalar_one()
    done = run("SELECT coalesce(max(seq), 0) FROM claims").scalar_one()
    while (upto := run(_UPTO, (done, SLICE - 1)).scalar_one()) is not None:
        run(_COPY, (done, upto))
        stored += run("SELECT changes()").scalar_one()
        slices.store(stored, total)
        done = upto
    run(_KEYS)
    run(_SAY)
    run("DROP TABLE claims_before")
