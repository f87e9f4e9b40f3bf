"""Filters of operations that were stored when a filter held one workflow, channel and reason."""

import msgspec

from clarion.adapters.ledgers.migrations.versions import v0021_several
from clarion.model.channel import Channel
from clarion.model.ids import UserNo
from clarion.model.message import MessageFilter
from clarion.model.status import Status


def test_a_filter_that_held_one_of_each_still_does():
    """Nothing of it is lost, which would make it match more than was asked for."""
    before = {"user": 7, "workflow": "paid", "channel": "sms", "reason": None, "statuses": ["failed"]}
    after = msgspec.msgpack.decode(v0021_several._several(msgspec.msgpack.encode(before)), type=MessageFilter)
    assert after == MessageFilter(
        user=UserNo(7),
        workflows=frozenset({"paid"}),
        channels=frozenset({Channel.SMS}),
        statuses=frozenset({Status.FAILED}),
    )
