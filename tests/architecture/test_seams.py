"""A seam is small enough to implement in an afternoon, and says what it promises."""

import importlib
import inspect
from typing import Protocol

import pytest

from tests.architecture.source_tree import PACKAGE, module_name, sources

MOST_METHODS = 6


def protocols() -> dict[str, type]:
    """Every protocol of `clarion.ports`, by its full name."""
    modules = [importlib.import_module(module_name(path)) for path in sources(PACKAGE / "ports")]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and Protocol in value.__bases__
    }


def methods(protocol: type) -> dict[str, object]:
    """What an implementer has to write, including what the protocol inherits."""
    return {
        name: value
        for cls in protocol.__mro__
        if cls not in (object, Protocol)
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_there_are_seams_to_check():
    """The search below finds the ports at all."""
    assert len(protocols()) > 5


@pytest.mark.parametrize("name", sorted(protocols()))
def test_a_seam_has_at_most_six_methods(name):
    """More powers are separate protocols: nobody implements what they do not need."""
    assert len(methods(protocols()[name])) <= MOST_METHODS, sorted(methods(protocols()[name]))


@pytest.mark.parametrize("name", sorted(protocols()))
def test_a_seam_says_what_it_promises(name):
    """The protocol and each of its methods carry a docstring: it is all an implementer has to go by."""
    protocol = protocols()[name]
    assert inspect.getdoc(protocol)
    assert [method for method, value in methods(protocol).items() if not inspect.getdoc(value)] == []
