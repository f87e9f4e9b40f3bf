"""The source tree for architecture tests: files, modules and parsed code."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "clarion"


def sources(under: Path = PACKAGE) -> list[Path]:
    """Every Python file below `under`, in a stable order."""
    return sorted(under.rglob("*.py"))


def module_name(path: Path) -> str:
    """`src/clarion/model/event.py` -> `clarion.model.event`."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def shown(path: Path, line: int = 1) -> str:
    """Where to look, as `path:line` from the root of the repository."""
    return f"{path.relative_to(ROOT)}:{line}"
