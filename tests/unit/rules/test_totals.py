"""Numbers of messages, added up by what is to be told apart."""

from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.retention import MessageTotal
from clarion.model.status import Reason, Status
from clarion.rules.totals import added_up, day_text


def total(day: int, status: Status, count: int, workflow: str = "w", reason: Reason | None = None):
    return MessageTotal(
        tenant=TenantId(1),
        day=day,
        workflow=workflow,
        channel=Channel.EMAIL,
        status=status,
        reason=reason,
        count=count,
    )


TOTALS = [
    total(20_000, Status.SENT, 3),
    total(20_001, Status.SENT, 2),
    total(20_001, Status.SENT, 5, workflow="a"),
    total(20_001, Status.FAILED, 1, reason=Reason.TEMPLATE_ERROR),
]


def test_what_is_not_told_apart_is_one_number():
    """Everything, if nothing is."""
    assert added_up(TOTALS, []) == [({}, 11)]
    assert added_up(TOTALS, ["status"]) == [({"status": "failed"}, 1), ({"status": "sent"}, 10)]


def test_the_newest_day_comes_first():
    """And within it the keys in order; no reason is null."""
    assert added_up(TOTALS, ["day", "workflow", "reason"]) == [
        ({"day": "2024-10-05", "workflow": "a", "reason": None}, 5),
        ({"day": "2024-10-05", "workflow": "w", "reason": None}, 2),
        ({"day": "2024-10-05", "workflow": "w", "reason": "template_error"}, 1),
        ({"day": "2024-10-04", "workflow": "w", "reason": None}, 3),
    ]


def test_days_are_written_as_dates():
    """Whatever the time zone of the machine is."""
    assert day_text(0) == "1970-01-01"


def test_nothing_is_no_row():
    """Not one with a zero."""
    assert added_up([], ["day"]) == []
