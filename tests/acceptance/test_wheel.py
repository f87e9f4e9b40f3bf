"""The wheel: everything a server needs is inside, and nothing of the checkout is needed beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bench.server import ROOT, Server

PAGES = ("/", "/docs", "/openapi.json", "/ui/static/new/page.css", "/ui/static/new/inter.woff2")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel, and borrows the locked packages of this one."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [tool("hatchling"), "build", "--target", "wheel", "--directory", place], cwd=ROOT, check=True
    )
    (wheel,) = place.glob("*.whl")
    env = place / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    python = env / "bin" / "python"
    subprocess.run(
        [tool("uv"), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel],
        check=True,
    )
    # A folder named in a .pth file is searched, but its own .pth files are not read: so the checkout stays unknown.
    (packages,) = (env / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def tool(name: str) -> Path:
    """A program of this environment."""
    return Path(sys.executable).with_name(name)


def test_the_command_of_the_wheel_runs_the_code_of_the_wheel(installed: Path, tmp_path: Path):
    """`clarion --version` works from any folder, and imports nothing from the checkout."""
    said = subprocess.run(
        [installed.with_name("clarion"), "--version"],
        cwd=tmp_path,
        env=clean(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "0.1.0" in said.stdout
    code = "import clarion; print(clarion.__file__)"
    where = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, env=clean(), capture_output=True, text=True, check=True
    ).stdout
    assert Path(where.strip()).is_relative_to(installed.parents[1])


async def test_a_server_from_the_wheel_serves_pages_and_delivers(installed: Path, server: Server):
    """Pages, styles, schema migrations and demo data are in the wheel; an event becomes messages."""
    server.python = str(installed)
    server.env = {"PYTHONPATH": ""}
    await server.start()
    host = {"host": f"localhost:{server.port}"}
    for page in PAGES:
        assert (await server.api.call("GET", page, headers=host)).status == 200, page
    accepted = await server.api.call(
        "POST",
        "/v1/workflows/welcome/trigger",
        {"recipients": ["ada"], "data": {"plan": "Reader", "voucher": "HI"}},
    )
    assert accepted.status == 202, accepted.body


def clean() -> dict[str, str]:
    """This environment without what would bring the checkout in."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
