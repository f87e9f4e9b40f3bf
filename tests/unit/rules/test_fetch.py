"""What a step asks a service, and what the answer means to it: no data lead a call elsewhere, no answer is too much."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from clarion.model.connection import HttpMethod
from clarion.model.ids import EventId, Instant
from clarion.model.run import RunStatus, StepCall
from clarion.model.setup import Step, StepType, Workflow
from clarion.model.status import Reason
from clarion.rules.answers import ServiceAnswer, answered, retry_at
from clarion.rules.interpreter import advance
from clarion.rules.programs import compiled
from clarion.rules.steps.faults import faults
from tests.property.test_rules_interpreter import NOW, TO, facts

PRICE = Step(key="price", type=StepType.FETCH, connection="shop", path="'/orders/' + string(data.n)")
NOTE = Step(key="note", template="note", to=TO)
SELECT = "{'total': body.total}"
CALL = StepCall(id=EventId(b"1" * 16), type=StepType.FETCH, request={"attempts": 3}, until=Instant(60_000))


def begun(step: Step) -> Any:
    """A run that comes to the step with the number 7."""
    workflow = Workflow(key="w", category="c", steps=(step, NOTE))
    return advance(compiled(workflow), None, facts(7), NOW, lambda *_: ())


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({}, "/orders/7"),
        ({"path": "'/a?b=c'", "query": {"q": "'a b&c=d/ü'"}}, "/a?b=c&q=a%20b%26c%3Dd%2F%C3%BC"),
        ({"path": "'/a'", "query": {"n": "1.5", "t": "true"}}, "/a?n=1.5&t=true"),
        ({"path": "'//evil.example/a'"}, "//evil.example/a"),
    ],
)
def test_a_call_is_a_path_below_the_connection(change, path):
    """With its parameters encoded; a second slash names no other server behind a URL that is whole."""
    call = begun(replace(PRICE, **change)).state.call
    assert call.request["path"] == path
    assert call.until == NOW + 60_000


@pytest.mark.parametrize(
    "change",
    [
        {"path": "'orders'"},
        {"path": "'/../admin'"},
        {"path": "'/a/%2e%2E/admin'"},
        {"path": "'/a%2f..%2fadmin'"},
        {"path": "'/a%5c..%5cadmin'"},
        {"path": "'/a b'"},
        {"path": "'/a#b'"},
        {"path": "'/a\\\\b'"},
        {"path": "data.missing"},
        {"path": "7"},
        {"headers": {"X-Name": "'a\\r\\nX-B: c'"}},
        {"headers": {"X-Name": "['a']"}},
        {"query": {"a": "[1]"}},
        {"query": {"a": "'" + "x" * 1_600 + "'"}},
        {"method": HttpMethod.POST, "body": "[1, 2].map(x, '" + "y" * 1_900 + "').map(z, [z, z, z, z, z])"},
    ],
)
def test_what_is_no_such_call_is_not_made(change):
    """The fallback stands in; without one the run has failed."""
    over = begun(replace(PRICE, **change))
    assert (over.status, over.reason, over.state) == (RunStatus.FAILED, Reason.EXPRESSION_ERROR, None)
    on = begun(replace(PRICE, fallback={}, **change))
    assert (on.status, [one.result for one in on.steps]) == (RunStatus.FINISHED, ["fallback", "sent"])


@pytest.mark.parametrize(
    ("status", "raw", "error"),
    [
        (404, b"{}", "it answered 404"),
        (302, b"", "it answered 302"),
        (200, b"<html>", "its answer is no JSON"),
        (200, b'"\xff"', "its answer is no JSON"),
        (200, b"[" * 60_000, "nested more than 32 levels"),
        (200, b"[" * 50 + b"]" * 50, "nested more than 32 levels"),
        (200, b'{"total":%d}' % 10**40, "numbers that are too large"),
        (200, b'{"total":%d}' % 2**63, "numbers that are too large"),
        (200, msgspec.json.encode({"total": "x" * 20_000}), "more than 16,384 bytes"),
        (200, b'{"other":1}', "select: "),
        (204, b"", "select: "),
        (503, b"", "it answered 503"),
    ],
)
def test_an_answer_that_is_of_no_use_says_why(status, raw, error):
    """Without a word of what was in it."""
    found = answered(status, raw, SELECT, cut=False, after_s=None)
    assert found.status == status
    assert error in (found.error or "")
    assert "0000" not in (found.error or "")
    assert found.again is (status == 503)


def test_what_is_cut_off_is_not_read():
    """Half of it could be read as something else."""
    assert "256 KiB" in (answered(200, b"{}", None, cut=True, after_s=None).error or "")


def test_an_answer_is_kept_as_selected():
    """All of it where nothing is selected; nothing is null."""
    assert answered(200, b'{"total":3,"x":1}', SELECT, cut=False, after_s=None).body == {"total": 3}
    assert answered(201, b"[1]", None, cut=False, after_s=None) == ServiceAnswer(201, [1])
    assert answered(204, b"", None, cut=False, after_s=None) == ServiceAnswer(204, None)


@pytest.mark.parametrize(
    ("made", "after_s", "at"),
    [(0, None, 1_000), (1, None, 2_000), (0, 20, 20_000), (1, 61, None), (2, None, None)],
)
def test_a_call_is_made_again_in_time_or_not_at_all(made, after_s, at):
    """Each time later, not sooner than the service says, within what the step allows."""
    failed = answered(503, b"", None, cut=False, after_s=after_s)
    assert retry_at(failed, replace(CALL, attempts=made), Instant(0)) == at
    assert retry_at(answered(404, b"", None, cut=False, after_s=None), CALL, Instant(0)) is None


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"connection": None}, "#/steps/0", "needs `connection`"),
        ({"path": None}, "#/steps/0", "needs `path`"),
        ({"path": "data."}, "#/steps/0/path", "column"),
        ({"body": "data"}, "#/steps/0/body", "post"),
        ({"method": HttpMethod.POST, "cache_s": 5}, "#/steps/0/cache_s", "get"),
        ({"timeout_s": 31}, "#/steps/0/timeout_s", "30"),
        ({"headers": {"Authorization": "'x'"}}, "#/steps/0/headers/Authorization", "connection"),
        ({"headers": {"a b": "'x'"}}, "#/steps/0/headers/a b", "no name"),
        ({"query": {f"q{n}": "1" for n in range(21)}}, "#/steps/0/query", "at most 20"),
        ({"query": {"a/b": "data."}}, "#/steps/0/query/a~1b", "column"),
        ({"select": "data.total"}, "#/steps/0/select", "`body`"),
        ({"fallback": {"a": "x" * 20_000}}, "#/steps/0/fallback", "16,384"),
    ],
)
def test_a_step_that_cannot_work_is_not_published(change, pointer, said):
    """With where and what."""
    found = [(one.pointer, one.detail) for one in faults([replace(PRICE, **change), NOTE])]
    assert pointer in [at for at, _ in found]
    assert any(said in detail for _, detail in found), found


def test_conditions_know_what_a_step_leaves():
    """Its answer may be anything; a field that it does not have is refused with the nearest."""
    asks = replace(NOTE, when="steps.price.ok && steps.price.body.total > 3 && steps.price.status == 200")
    assert faults([PRICE, asks]) == []
    (wrong,) = faults([PRICE, replace(NOTE, when="steps.price.bodi == 3")])
    assert "did you mean `body`" in wrong.detail
