"""A safeguard that is taken away is missed: the tests that hold it fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.architecture.source_tree import ROOT
from tests.mutations.safeguards import SAFEGUARDS
from tests.needs import DEEP


@pytest.mark.parametrize("one", SAFEGUARDS, ids=lambda one: one.name)
def test_every_safeguard_stands_where_the_list_says(one):
    """Once, so that taking it away takes away nothing else; and there is a test that misses it."""
    assert (ROOT / "src/clarion" / one.file).read_text(encoding="utf-8").count(one.code) == 1
    assert (ROOT / one.test.partition(":")[0]).exists()


@pytest.mark.skipif(not DEEP, reason="each is a run of pytest: HYPOTHESIS_PROFILE=deep")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("one", SAFEGUARDS, ids=lambda one: one.name)
def test_a_test_fails_without_the_safeguard(one, tmp_path):
    """In a copy of the source, where it is taken away."""
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source)
    changed = source / "clarion" / one.file
    changed.write_text(changed.read_text(encoding="utf-8").replace(one.code, one.without), encoding="utf-8")
    file, _, names = one.test.partition(":")
    asked = [sys.executable, "-m", "pytest", "-x", "-q", file, "-k", names]
    profile = {"HYPOTHESIS_PROFILE": "ci", "PYTHONPATH": str(source)}
    told = subprocess.run(
        asked, cwd=ROOT, env={**os.environ, **profile}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1, told.stdout[-2_000:]
