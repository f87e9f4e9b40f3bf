"""The edges read the store and leave writing to services, so that audit and permissions have one place to stand."""

from __future__ import annotations

import ast
import inspect

import pytest

from clarion.flow.setup_view import DocumentsView, SetupView, TenantsView
from clarion.ports import ledger
from tests.architecture.source_tree import PACKAGE, shown, sources, tree

READS = frozenset(
    [
        "all",
        "catch_up",
        "changes",
        "claimed",
        "bodies",
        "changed",
        "delta",
        "due",
        "depth",
        "end",
        "errors",
        "found",
        "failing",
        "find",
        "get",
        "head",
        "items",
        "health",
        "known",
        "named",
        "matching",
        "members",
        "messages",
        "of",
        "of_events",
        "page",
        "position",
        "preview",
        "read",
        "runs_of",
        "since",
        "soft_bounces",
        "stats",
        "tag",
        "tail",
        "topic",
        "topics",
        "topics_near",
        "users_near",
        "version",
        "versions",
        "waiting",
        "with_contact",
        "again",
        "blocked",
        "costs",
        "spent",
        "count",
        "workers",
    ]
)
OWN = {("api/idempotency.py", "hold")}
"""The answer to a call belongs to the edge that gave it."""


def _methods() -> frozenset[str]:
    views = (SetupView, DocumentsView, TenantsView)
    protocols = [*(getattr(ledger, name) for name in ledger.__all__), *views]
    return frozenset(
        name for one in protocols for name, _ in inspect.getmembers(one, inspect.isfunction) if name[0] != "_"
    )


def _receiver(node: ast.expr) -> list[str]:
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return names


def test_what_counts_as_reading_is_a_method_of_the_store():
    """Or of a view of it. A name that none has any more is taken off the list."""
    assert sorted(READS - _methods()) == []


@pytest.mark.parametrize("edge", ["api", "dashboard", "gateway"])
def test_an_edge_writes_through_services(edge):
    """No handler calls a method of the ledger that changes anything."""
    writers = _methods() - READS
    found = [
        f"{shown(path, node.lineno)} {ast.unparse(node.func)}"
        for path in sources(PACKAGE / edge)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in writers
        and "ledger" in _receiver(node.func.value)
        and (f"{edge}/{path.name}", node.func.attr) not in OWN
    ]
    assert found == []
