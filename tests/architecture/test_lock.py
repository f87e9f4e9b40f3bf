"""The lists in requirements/: what is installed, shipped and tested is one resolved set, fixed by hashes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTS = ("core", "extras", "dev")


def pins(name: str) -> Mapping[str, Requirement]:
    """The pinned packages of one list."""
    return {canonicalize_name(pin.name): pin for pin in (Requirement(line) for line, _ in locked(name))}


def locked(name: str) -> Iterator[tuple[str, list[str]]]:
    """Each pin of one list with its hashes."""
    for entry in (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", "").split("\n"):
        if entry and not entry.lstrip().startswith("#"):
            pin, *hashes = entry.split("--hash=")
            yield pin.strip(), hashes


def declared(name: str) -> list[Requirement]:
    """What pyproject.toml asks for that belongs to a list."""
    asked = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
    if name != "core":
        asked += [one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra]
    if name == "dev":
        asked += PROJECT["dependency-groups"]["dev"]
    return [Requirement(one) for one in asked]


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_hashes(name):
    """pip refuses a package whose content is not the tested one."""
    assert [pin for pin, hashes in locked(name) if not hashes] == []


@pytest.mark.parametrize("name", LISTS)
def test_every_declared_package_is_pinned_inside_its_range(name):
    """After a change of pyproject.toml `make lock` is due."""
    found = pins(name)
    wrong = [
        str(asked)
        for asked in declared(name)
        if (pin := found.get(canonicalize_name(asked.name))) is None
        or not asked.specifier.contains(next(iter(pin.specifier)).version)
    ]
    assert wrong == [], "run `make lock`"


@pytest.mark.parametrize("name", ["core", "extras"])
def test_what_is_shipped_is_what_was_tested(name):
    """Every list pins the versions of the development list, on which the tests run."""
    tested = {package: pin.specifier for package, pin in pins("dev").items()}
    assert {
        package: str(pin) for package, pin in pins(name).items() if tested.get(package) != pin.specifier
    } == {}
