"""The history checker finds what it is there to find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.acceptance.history import History, Seen, SeenInbox, SeenMessage, Stream, Submission, violations


def good() -> tuple[History, Seen]:
    """One event for two users on two channels, everything as promised."""
    sent = Submission(
        key="k1", workflow="w", users=("ann", "bob"), channels=("in_app", "email"), event_ids=["e1", "e1"]
    )
    messages = [
        SeenMessage(id=f"{user}-{channel}", event_id="e1", user=user, channel=channel, status="delivered")
        for user in sent.users
        for channel in sent.channels
    ]
    inboxes = {user: SeenInbox(items=[f"{user}-in_app"], unread=1, total=1) for user in sent.users}
    return History({"k1": sent}), Seen(
        messages=messages, captures=Counter(["ann-email", "bob-email"]), inboxes=inboxes
    )


def lose_a_message(history: History, seen: Seen) -> None:
    """Accepted, then gone."""
    seen.messages.pop(0)


def plan_twice(history: History, seen: Seen) -> None:
    """Two messages for one user, event and channel."""
    seen.messages.append(replace(seen.messages[1], id="again"))
    seen.captures["again"] = 1


def send_twice(history: History, seen: Seen) -> None:
    """One message, two emails."""
    seen.captures["ann-email"] = 2


def forget_to_send(history: History, seen: Seen) -> None:
    """Called delivered, never sent."""
    del seen.captures["ann-email"]


def never_end(history: History, seen: Seen) -> None:
    """Left lying in a queue."""
    seen.messages[0] = replace(seen.messages[0], status="queued")


def hide_the_reason(history: History, seen: Seen) -> None:
    """Failed, and nobody can say why."""
    seen.messages[1] = replace(seen.messages[1], status="failed")
    del seen.captures["ann-email"]


def change_the_answer(history: History, seen: Seen) -> None:
    """The same key, another event."""
    history.submissions["k1"].event_ids.append("e2")


def invent_an_event(history: History, seen: Seen) -> None:
    """A message that nobody asked for."""
    seen.messages.append(
        replace(seen.messages[1], id="ghost", event_id="e9", status="canceled", reason="expired")
    )


def lose_an_inbox_item(history: History, seen: Seen) -> None:
    """Delivered, but the inbox does not show it."""
    seen.inboxes["ann"].items.clear()


def miscount(history: History, seen: Seen) -> None:
    """The badge is wrong."""
    seen.inboxes["bob"].unread = 2


def test_a_good_history_has_no_violation():
    """The checker does not cry wolf."""
    assert violations(*good()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lose_a_message,
        plan_twice,
        send_twice,
        forget_to_send,
        never_end,
        hide_the_reason,
        change_the_answer,
        invent_an_event,
        lose_an_inbox_item,
        miscount,
    ],
)
def test_each_damage_is_found(damage: Callable[[History, Seen], None]):
    """Whatever breaks a promise is named."""
    history, seen = good()
    damage(history, seen)
    assert violations(history, seen) != []


def test_a_request_without_an_answer_may_or_may_not_have_counted():
    """Messages of an unanswered request are no ghosts, and their absence is no loss."""
    history, seen = good()
    history.submissions["k2"] = Submission(key="k2", workflow="w", users=("ann",), channels=("email",))
    assert violations(history, seen) == []
    seen.messages.append(SeenMessage(id="m9", event_id="e9", user="ann", channel="email", status="sent"))
    seen.captures["m9"] = 1
    assert violations(history, seen) == []


@pytest.mark.parametrize("offsets", [(1, 3), (1, 1), (2,), (1, 2, 1)])
def test_a_hole_or_a_repeat_in_a_stream_is_found(offsets: tuple[int, ...]):
    """A device that missed an item, or saw one twice, says so."""
    stream = Stream()
    for offset in offsets:
        stream.receive(offset, [(offset, f"m{offset}")])
    assert stream.problems


def test_a_connection_that_was_not_recovered_is_found():
    """Starting over is not the same as missing nothing."""
    stream = Stream()
    stream.connected("a", 1, False, [(1, "m1")])
    assert not stream.problems
    stream.connected("a", 2, False, [(2, "m2")])
    assert stream.problems
