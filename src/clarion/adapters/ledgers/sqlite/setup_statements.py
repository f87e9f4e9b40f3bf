"""Statements about the set-up and its revisions.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

SETUP_REVISION = "SELECT value FROM meta WHERE key = 'setup_revision'"

NEXT_SETUP_REVISION = """
    INSERT INTO meta (key, value) VALUES ('setup_revision', 1)
    ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value
"""

SETUP_CHANGED = """
    INSERT INTO setup_changes (shelf, tenant, key, revision)
    VALUES (?1, ?2, ?3, 1 + coalesce((SELECT value FROM meta WHERE key = 'setup_revision'), 0))
    ON CONFLICT (shelf, tenant, key) DO UPDATE SET revision = excluded.revision
"""
"""What the change that `NEXT_SETUP_REVISION` counts is about."""

SETUP_LIVE = "SELECT shelf, tenant, key, body FROM documents WHERE live = 1"

SETUP_DELTA = """
    SELECT c.shelf, c.tenant, c.key, d.body FROM setup_changes AS c
    LEFT JOIN documents AS d ON d.shelf = c.shelf AND d.tenant = c.tenant AND d.key = c.key AND d.live = 1
    WHERE c.revision > ?1 AND c.shelf <> 'tenant'
"""

TENANTS_LIVE = "SELECT body FROM tenants"

TENANTS_DELTA = """
    SELECT t.body FROM setup_changes AS c JOIN tenants AS t ON t.id = c.tenant
    WHERE c.revision > ?1 AND c.shelf = 'tenant'
"""
