"""The reference is complete: what the code can say, the documentation explains."""

import ast
import importlib
import inspect
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from clarion.errors import ClarionError
from clarion.model.status import Reason, Status
from tests.architecture.source_tree import ROOT, sources, tree


@pytest.fixture(scope="module")
def reference() -> str:
    """All pages of the reference in one text."""
    return "\n".join(
        page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs/reference").glob("*.md"))
    )


def error_codes(cls: type[ClarionError] = ClarionError) -> set[str]:
    """The stable codes of the whole error tree."""
    return {cls.code}.union(*map(error_codes, cls.__subclasses__()))


def settings() -> set[str]:
    """The names of all settings, sections included."""
    classes = inspect.getmembers(importlib.import_module("clarion.config"), inspect.isclass)
    return {
        field
        for _, cls in classes
        if issubclass(cls, BaseModel) and cls.__module__ == "clarion.config"
        for field in cls.model_fields
    }


def metrics() -> Iterator[str]:
    """The names given to Prometheus metrics anywhere in the source."""
    for path in sources():
        for node in ast.walk(tree(path)):
            match node:
                case ast.Call(
                    func=ast.Name(id="Counter" | "Gauge" | "Histogram" | "Summary" | "Info" | "MetricHelp"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield name


def test_every_status_is_explained(reference):
    """Whoever sees a status in the API finds what it promises."""
    assert [status for status in Status if f"`{status}`" not in reference] == []


def test_every_reason_is_explained(reference):
    """Whoever sees a reason in an explanation or a metric label finds what it means."""
    assert [reason for reason in Reason if f"`{reason}`" not in reference] == []


def test_every_error_code_is_explained(reference):
    """Whoever catches an error by its code finds what to do."""
    assert [code for code in sorted(error_codes()) if f"`{code}`" not in reference] == []


def test_every_setting_is_explained(reference):
    """Whoever runs Clarion finds every setting, and there is at least one."""
    assert settings()
    assert [name for name in sorted(settings()) if f"`{name}`" not in reference] == []


def test_every_metric_is_explained(reference):
    """Whoever builds a dashboard or an alert finds every metric, and there is at least one."""
    names = sorted(set(metrics()))
    assert names
    assert [name for name in names if f"`{name}`" not in reference] == []
