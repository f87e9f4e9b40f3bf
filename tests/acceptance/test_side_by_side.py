"""This version and the one before it serve one database side by side, on the schema of this one, while events flow."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from clarion.adapters.ledgers.postgresql.revision import FIRST, STEPS, steps_between
from clarion.adapters.ledgers.schema import REVISION
from tests.acceptance.load import Load, complete, load
from tests.acceptance.test_wheel import tool
from tests.acceptance.topology import Serving, Topology
from tests.architecture.source_tree import ROOT
from tests.needs import DEEP

pytestmark = [
    pytest.mark.skipif(not DEEP, reason="builds the version before this one: deep profile"),
    pytest.mark.timeout(900),
]

SETTINGS = "lease_s = 2.0\n"


def git(*words: str) -> bytes:
    """What it says about this checkout."""
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the last version that had another schema, and the locked packages of this one."""
    if not (ROOT / ".git").exists() or git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("this is no clone with its history: the version before is not in it")
    if REVISION == FIRST:
        pytest.skip("no version with another schema could serve on a server")
    *_, newest = steps_between(FIRST, REVISION)
    if newest.oldest == REVISION:
        pytest.skip("the newest migration says that no version before may serve on its schema")
    place = tmp_path_factory.mktemp("earlier")
    (step,) = (STEPS / "versions").glob(f"v{REVISION}_*.py")
    added = git("log", "--diff-filter=A", "-1", "--format=%H", "--", str(step)).decode().strip()
    if not added:
        pytest.skip("the newest migration is not committed yet")
    (place / "source").mkdir()
    unpack = ["tar", "-x", "-C", str(place / "source")]
    subprocess.run(unpack, input=git("archive", f"{added}^"), check=True)
    build = [str(tool("hatchling")), "build", "--target", "wheel", "--directory", str(place)]
    subprocess.run(build, cwd=place / "source", check=True)
    (wheel,) = place.glob("*.whl")
    env = place / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    python = env / "bin" / "python"
    uv = [str(tool("uv")), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python)]
    subprocess.run([*uv, str(wheel)], check=True)
    (packages,) = (env / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


class TwoVersions(Topology):
    """Whatever is started or run is of the version of `python`."""

    python = sys.executable

    def serving(self, *given: Any) -> Serving:  # type: ignore[override]
        """A process of that version."""
        one = Topology.serving(*given)
        one.python = self.python
        return one

    def command(self, words: list[str], environment: dict[str, str]) -> str:
        """What a command of that version prints."""
        command = [self.python, "-m", "clarion", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def migrate(self, python: str) -> None:
        """To the schema of another version."""
        self.python = python
        await self._run("migrate")

    async def update(self, load_: Load, python: str) -> None:
        """Each process is stopped and started with another version, while the others go on."""
        self.python = python
        for process in self.processes:
            await load_.accepted(60)
            assert await process.stop() == 0
            await load_.accepted(20)
            process.python = python
            await process.start()
        await load_.accepted(60)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_an_update_and_the_way_back_lose_and_double_nothing(tmp_path, database, earlier):
    """The schema is migrated under the old version, processes follow one by one, and go back one by one: lost 0, doubled 0."""
    old, new = str(earlier), sys.executable
    installation = TwoVersions(tmp_path, database, SETTINGS)
    installation.python = old
    async with installation:
        for name in ("first", "second"):
            await installation.start(name)
        async with load(installation, installation.ports("api")) as load_:
            await load_.accepted(60)
            await installation.migrate(new)
            await load_.accepted(60)
            await installation.update(load_, new)
            await installation.update(load_, old)
            seen = await load_.finish()
    complete(seen, load_)
    assert {message.attempts for message in seen.messages} == {1}
