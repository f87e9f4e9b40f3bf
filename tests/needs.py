"""What a test needs from the machine: skip with the reason on a laptop, fail where CI promised it."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def require(tool: str, why: str) -> str:
    """Path of the program `tool`; without it the test is skipped with `why`, or fails when `CI=true`."""
    return require_any((tool,), why)


def require_any(tools: tuple[str, ...], why: str) -> str:
    """Path of the first of `tools` that is installed; see `require`."""
    for tool in tools:
        if found := shutil.which(tool):
            return found
    missing(f"{' or '.join(tools)} is not installed: {why}")


def require_browser(why: str) -> str:
    """Path of an installed Chromium, for `playwright`'s `executable_path`; see `require`."""
    return require_any(BROWSERS, f"{why} (`make test` installs it where it may: apt, as root)")


NPM = Path(__file__).parent.parent / ".cache" / "npm" / "node_modules"


def require_npm(package: str, why: str) -> Path:
    """Folder of a package of `tests/npm/package.json`; see `require`. Node runs it."""
    require("node", why)
    if not (NPM / package).is_dir():
        missing(f"the npm package {package} is not installed: {why} (`make test` installs it where npm is)")
    return NPM / package


GO = Path(__file__).parent.parent / ".cache" / "go"


def require_go(program: str, why: str) -> str:
    """Path of a program that the Makefile builds with Go; see `require`."""
    if not (GO / program).is_file():
        missing(f"{program} is not built: {why} (`make test` builds it where Go is)")
    return str(GO / program)


def missing(reason: str) -> NoReturn:
    """End the test because of what the machine lacks: skipped on a laptop, failed when `CI=true`."""
    if in_ci():
        pytest.fail(f"CI must provide this: {reason}", pytrace=False)
    pytest.skip(reason)


DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
"""Whether slow proofs take as long as they like: more rounds, more rows, more examples."""


def examples(most: int) -> int:
    """How many examples a slow property looks at: at most so many, but all of them in the deep profile."""
    return settings().max_examples if DEEP else min(most, settings().max_examples)


def in_ci() -> bool:
    """Whether this machine promised to have everything."""
    return os.environ.get("CI", "").lower() in {"1", "true"}
