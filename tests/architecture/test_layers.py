"""Arrows point down, and these tests say so."""

import ast
from collections.abc import Mapping
from pathlib import Path

from importlinter import api, cli

from tests.architecture.source_tree import PACKAGE, ROOT, module_name, shown, sources, tree

CONFIG = str(ROOT / "pyproject.toml")


def test_every_import_contract_is_kept(capsys, monkeypatch):
    """The layers of the house hold, whoever imports whom."""
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(config_filename=CONFIG, cache_dir=".cache/imports", no_logo=True)
    assert code == 0, capsys.readouterr().out


def test_no_contract_has_an_exception():
    """A contract with ignored imports is a wish: the house has none, and its layers are exhaustive."""
    contracts = api.read_configuration(CONFIG)["contracts_options"]
    assert [c["name"] for c in contracts if c.get("ignore_imports") or c.get("exhaustive_ignores")] == []
    assert [c["exhaustive"] for c in contracts if c["type"] == "layers"] == ["True"]


def test_the_environment_is_read_in_one_place():
    """Settings come from `clarion.config`, read once by the composition root."""
    found = [
        shown(path, number)
        for path in sources()
        if path != PACKAGE / "config.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "os.environ" in line or "os.getenv" in line
    ]
    assert found == []


def test_no_modules_import_one_another_in_a_circle():
    """Not even for types: whoever reads one of them would have to read them all."""
    modules = {module_name(path): path for path in sources()}
    graph = {name: _imports(path, modules) - {name} for name, path in modules.items()}
    while leaves := {name for name, its in graph.items() if not its}:
        graph = {name: its - leaves for name, its in graph.items() if name not in leaves}
    wanted = {name for its in graph.values() for name in its}
    assert {name: sorted(its & wanted) for name, its in graph.items() if name in wanted} == {}


def _imports(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """The modules of the house that a file names in its imports, wherever they stand in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in modules and modules[name].name != "__init__.py"}
