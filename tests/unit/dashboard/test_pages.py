"""Templates escape, static files are named by their content, and nothing comes from elsewhere."""

import re

import pytest

from clarion.dashboard import pages
from clarion.dashboard.request import PageRequest
from tests.architecture.source_tree import PACKAGE

STATIC = sorted((PACKAGE / "dashboard/static").iterdir())
TEMPLATES = sorted((PACKAGE / "dashboard/templates").iterdir())


def get(path: str):
    return pages.static(PageRequest(method="GET", path=path, headers={}, query={}))


def test_what_people_wrote_is_escaped():
    """A name is never markup."""
    assert b"<b>" not in pages.render("refused.html", detail="<b>bold</b>")


def test_a_static_file_is_kept_by_browsers_under_its_version():
    """A new version has a new address."""
    response = get(pages.address("page.css"))
    assert (response.status, response.type) == (200, "text/css; charset=utf-8")
    assert "immutable" in response.headers["cache-control"]
    assert get("/ui/static/old/page.css").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.js", "../site.py", "inter.LICENSE.txt", ""])
def test_only_static_files_are_served(name):
    """No path leads out of the folder."""
    assert get(f"/ui/static/x/{name}").status == 404


@pytest.mark.parametrize("path", STATIC + TEMPLATES, ids=lambda path: path.name)
def test_a_page_asks_nobody_else_for_anything(path):
    """No fonts, scripts or images from other hosts: the page works on a plane."""
    if path.suffix in {".woff2", ".txt"}:
        return
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"""(?:src|href|url|import|fetch)\W{1,3}(?:https?:)?//[^"'\s)]+""", text) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_the_strict_policy_can_hold(path):
    """No inline script, style or handler; the plain-text email is a document of its own."""
    if path.name == "text.html":
        return
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text) == []
