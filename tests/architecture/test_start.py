"""Nothing happens at import."""

import subprocess
import sys

import pytest

from tests.architecture.source_tree import module_name, sources

HEAVY = ("alembic", "babel", "cryptography", "litestar", "pydantic", "rich", "sqlalchemy", "uvicorn")


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after `statement`."""
    script = f"{statement}\nimport sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    """`import clarion` is for anyone who wants the version or one value type."""
    assert loaded_by("import clarion") == set()


@pytest.mark.parametrize("layer", ["errors", "model", "ports", "rules"])
def test_the_inner_layers_load_nothing_heavy(layer):
    """Whoever reasons about messages pays for neither a web framework nor a database."""
    modules = [m for m in map(module_name, sources()) if f"{m}.".startswith(f"clarion.{layer}.")]
    assert loaded_by(f"import {', '.join(modules)}") == set()


def test_the_store_process_loads_neither_edges_nor_engine():
    """A second process is to cost as little memory as it can."""
    program = "import clarion.app.store_program, clarion.adapters.ledgers.sqlite"
    assert loaded_by(program) <= {"cryptography", "rich", "sqlalchemy"}
