"""Names say what a thing is for, and every module says what it promises."""

import ast

from tests.architecture.source_tree import PACKAGE, ROOT, shown, sources, tree

PATTERN_NAMES = {
    "base",
    "common",
    "generic",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "util",
    "utils",
}


def test_no_module_is_named_after_a_pattern():
    """A module is a noun of notification; `utils` is a place where code gets lost."""
    found = [
        shown(path)
        for path in sources()
        for part in path.relative_to(PACKAGE).with_suffix("").parts
        if PATTERN_NAMES & set(part.split("_"))
    ]
    assert found == []


def test_every_module_says_what_it_is():
    """The first lines of a file tell a newcomer whether to read on."""
    assert [shown(path) for path in sources() if not ast.get_docstring(tree(path))] == []


def test_every_folder_of_code_is_a_package():
    """A folder without `__init__.py` would be invisible to the import contracts."""
    folders = {path.parent for path in sources()}
    assert [
        str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").exists()
    ] == []


def test_every_test_reads_as_a_sentence():
    """The docstring of a test states the behaviour, so that the list of tests is a specification."""
    found = [
        f"{shown(path, node.lineno)} {node.name}"
        for path in sources(ROOT / "tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert found == []


def test_no_class_name_means_two_things():
    """Whoever searches for a public class finds one. (A protocol of the ledger is named like what implements it says.)"""
    homes: dict[str, list[str]] = {}
    for path in sources():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(shown(path, node.lineno))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}
