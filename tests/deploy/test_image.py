"""The image. There is no Docker here: its steps are read, and in the deep profile those that build it are run in a clean folder."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import DEEP

ROOT = Path(__file__).parents[2]


def steps() -> list[tuple[str, str]]:
    """Instruction and its words, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_what_runs_has_no_tool_that_built_it():
    """Two stages; the second has the environment of the first, is not root and keeps its data in a volume."""
    names = [name for name, _ in steps()]
    second = steps()[len(names) - names[::-1].index("FROM") - 1 :]
    assert names.count("FROM") == 2
    assert [words for name, words in second if name == "COPY"] == ["--from=build /opt/clarion /opt/clarion"]
    assert "pip uninstall" in steps()[names.index("FROM", 1) - 1][1]
    order = [name for name, _ in second]
    assert order.index("USER") < order.index("CMD")
    assert dict(second)["USER"] == "clarion"
    assert dict(second)["VOLUME"] == "/var/lib/clarion"


def test_every_file_it_copies_is_there_and_not_ignored():
    """And packages come with their hashes."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    for name, words in steps():
        if name == "COPY" and not words.startswith("--from"):
            for pattern in words.split()[:-1]:
                assert list(ROOT.glob(pattern)), pattern
                assert pattern not in ignored
    (installed,) = [words for name, words in steps() if name == "RUN" and "--require-hashes" in words]
    assert "requirements/$PACKAGES.txt" in installed


@pytest.mark.skipif(not DEEP, reason="it downloads and installs everything once more")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("packages", ["core", "extras"])
def test_the_steps_of_the_build_work_in_a_clean_folder(tmp_path, packages):
    """The very commands, with the folders of the image below another one; what they leave says its version."""
    source, target = tmp_path / "src", tmp_path / "opt"
    names = [name for name, _ in steps()]
    for name, words in steps()[1 : names.index("FROM", 1)]:
        if name == "COPY":
            *patterns, where = words.split()
            for pattern in patterns:
                for found in ROOT.glob(pattern):
                    copy(found, source / where / ("" if found.is_dir() else found.name))
        if name == "RUN":
            command = words.replace("/opt/clarion", str(target)).replace("$PACKAGES", packages)
            subprocess.run(
                ["sh", "-ec", command.replace("python -m venv", "python3 -m venv")], cwd=source, check=True
            )
    said = subprocess.run([target / "bin/clarion", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("clarion ")
    assert not (target / "bin/pip").exists()


def copy(found: Path, place: Path) -> None:
    """As COPY does."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if found.is_dir():
        shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(found, place)
