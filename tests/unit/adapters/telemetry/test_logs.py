"""Logs: one record per line, and never what must not be in them."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from clarion.adapters.telemetry.logs import set_up


@pytest.fixture
def out():
    """What was written; afterwards logging is as it was."""
    root = logging.getLogger()
    before, configured = (root.handlers[:], root.level), structlog.get_config()
    yield io.StringIO()
    root.handlers[:], root.level = before
    structlog.configure(**configured)


def records(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_records_are_json_lines_with_time_and_level(out):
    """For machines: one object per line, whoever logs."""
    set_up(format="json", stream=out)
    structlog.get_logger().info("accepted", count=3)
    logging.getLogger("library").warning("odd %s", "thing")
    ours, theirs = records(out)
    assert (ours["event"], ours["count"], ours["level"]) == ("accepted", 3, "info")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("odd thing", "warning", "library")


def test_the_steps_of_a_migration_are_not_logged(out):
    """They are shown as progress; what goes wrong in one is logged."""
    set_up(format="json", stream=out)
    logging.getLogger("alembic.runtime.migration").info("Running upgrade")
    logging.getLogger("alembic.runtime.migration").error("odd")
    assert [record["event"] for record in records(out)] == ["odd"]


def test_contents_and_contacts_are_hidden(out):
    """Even when somebody passes them by mistake."""
    set_up(format="json", stream=out)
    structlog.get_logger().info("sent", email="ada@example.com", token="t", data={"a": 1}, user=7)
    assert "ada@example.com" not in out.getvalue()
    assert records(out)[0]["email"] == "[hidden]"
    assert records(out)[0]["user"] == 7


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_shows_no_values(out, format):
    """Local variables hold contents: where it happened is enough."""
    set_up(format=format, stream=out)

    def fails(content):
        raise RuntimeError("broken")

    try:
        fails("dear " + "ada")
    except RuntimeError as error:
        structlog.get_logger().error("unexpected", exc_info=error)
    assert "RuntimeError: broken" in out.getvalue()
    assert "dear ada" not in out.getvalue()


def test_less_urgent_records_are_left_out(out):
    """The level counts for ours and for libraries alike."""
    set_up(level="warning", format="json", stream=out)
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    structlog.get_logger().warning("loud")
    assert [record["event"] for record in records(out)] == ["loud"]
