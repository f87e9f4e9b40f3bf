"""The map in CONTRIBUTING.md shows every package and top-level module, and says of each what it says of itself."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_tree import PACKAGE, ROOT, tree

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
(LAYERS,) = [contract["layers"] for contract in CONTRACTS if contract["type"] == "layers"]


def drawn(title: str) -> dict[str, str]:
    """The paths of a map to what stands beside them; its first line is `title`, and indentation says what lies in what."""
    block = re.search(rf"```\n{title}\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None, f"CONTRIBUTING.md has no map of `{title}`"
    above: list[str] = []
    found: dict[str, str] = {}
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        name, text = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        above[depth:] = [name.rstrip("/")]
        found["/".join(above)] = text
    return found


def first_line(module: Path) -> str:
    """What a module says of itself first."""
    return (ast.get_docstring(tree(module)) or "").splitlines()[0]


def packages() -> dict[str, str]:
    """Every package and top-level module to what it says of itself."""
    inits = [init for init in PACKAGE.rglob("__init__.py") if init.parent != PACKAGE]
    modules = [module for module in PACKAGE.glob("*.py") if module.name != "__init__.py"]
    return {str(init.parent.relative_to(PACKAGE)): first_line(init) for init in inits} | {
        module.name: first_line(module) for module in modules
    }


def folders() -> set[str]:
    """The folders beside the source, and the kinds of documentation and tests."""
    kinds = [folder for top in ("docs", "tests") for folder in (ROOT / top).iterdir() if folder.is_dir()]
    held = [folder for folder in kinds if any(path.is_file() for path in folder.rglob("*"))]
    return {"bench", "deploy", "docs", "tests"} | {
        str(folder.relative_to(ROOT)) for folder in held if folder.name != "__pycache__"
    }


def test_the_map_shows_every_package_and_no_other():
    """Whoever looks for a place finds it, and finds nothing that is gone."""
    assert sorted(set(packages()) ^ set(drawn("src/clarion"))) == []


@pytest.mark.parametrize("path", sorted(packages()))
def test_the_map_says_what_the_package_says(path):
    """One line, written once: the first of its docstring."""
    assert drawn("src/clarion").get(path) == packages()[path]


def test_the_map_is_drawn_in_the_order_of_the_layers():
    """Whatever imports stands above what it imports."""
    layers = [name.strip() for layer in LAYERS for name in layer.split("|")]
    assert [path.removesuffix(".py") for path in drawn("src/clarion") if "/" not in path] == layers
    assert f"\n{' > '.join(LAYERS)}\n" in PAGE


def test_the_other_folders_are_shown():
    """Documentation, measurements and tests, too."""
    assert sorted(folders() ^ set(drawn("elsewhere"))) == []
