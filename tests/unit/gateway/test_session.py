"""One connection as a state machine."""

import json

import pytest

from clarion.gateway import frames
from clarion.gateway.close_codes import (
    CLOSES,
    PING_TIMEOUT,
    PROTOCOL_ERROR,
    SHUTTING_DOWN,
    SLOW_CONSUMER,
    STATE_LOST,
    TOKEN_EXPIRED,
    TOO_FAST,
    CloseCode,
)
from clarion.gateway.frames import PING, PONG, Frame
from clarion.gateway.session import ABORT, Effect, Mark, Resume, Rules, Session, SessionState
from clarion.model.ids import MessageId, id_text
from clarion.model.inbox import InboxFilter

RULES = Rules(pending_frames=3, pending_bytes=100, commands_per_s=1, command_burst=3, frame_bytes=200)
AN_HOUR = 3600.0


def live(offset: int = 0, expires: float = AN_HOUR) -> Session:
    """A session whose client has been told everything up to `offset`."""
    session = Session(RULES, 0.0, expires)
    session.loaded(Frame("{}", offset))
    return session


def change(before: int, offset: int | None = None, size: int = 10) -> Frame:
    return Frame("x" * size, before + 1 if offset is None else offset, before)


def texts(effects: tuple[Effect, ...]) -> list[dict]:
    return [json.loads(effect.text) for effect in effects if isinstance(effect, Frame)]


# ── joining ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_that_followed_this_inbox_may_be_replayed():
    """Same epoch, and an offset the inbox has been at."""
    assert Resume("e1", 5).fits("e1", 5)
    assert Resume("e1", 0).fits("e1", 9)


@pytest.mark.parametrize("asked", [Resume("other", 5), Resume("e1", 10), Resume("e1", -1)])
def test_a_client_of_another_inbox_or_from_the_future_may_not(asked):
    """A foreign epoch, or an offset that was never reached here (the store went back to a backup)."""
    assert not asked.fits("e1", 9)


def test_changes_before_the_first_frame_are_left_to_it():
    """While the state is loading, nothing may reach the client: what is loaded later contains it."""
    session = Session(RULES, 0.0, AN_HOUR)
    assert session.push(change(4)) == ()
    first = Frame("{}", 5)
    assert session.loaded(first) == (first,)
    assert (session.state, session.offset) == (SessionState.LIVE, 5)


def test_a_state_that_comes_too_late_is_not_sent():
    """The client hung up, or was closed, while its state was loading."""
    session = Session(RULES, 0.0, AN_HOUR)
    session.close(SHUTTING_DOWN)
    assert session.loaded(Frame("{}", 1)) == ()


# ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_change_is_sent_and_moves_the_client():
    """The frame goes out as it is, and the session knows how far the client has been told."""
    session, frame = live(4), change(4, 6)
    assert session.push(frame) == (frame,)
    assert session.offset == 6


def test_what_the_client_knows_is_not_told_twice():
    """Offsets never go back, whatever the stream does."""
    session = live(4)
    assert session.push(change(2, 4)) == ()
    assert session.offset == 4


def test_a_gap_ends_the_session_rather_than_reach_the_client():
    """The client comes back and is replayed the whole."""
    session = live(4)
    assert session.push(change(5)) == (STATE_LOST,)
    assert STATE_LOST.reconnect


# ── the client ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mark_is_handed_on_with_its_reference():
    """What only the ledger can do is asked for, and answered by the same `ref`."""
    session, item = live(), MessageId(b"m" * 16)
    command = json.dumps({"type": "mark", "ref": "r1", "action": "read", "ids": [id_text(item)]})
    assert session.receive(command, 1.0) == (Mark("r1", "read", (item,)),)
    assert texts(session.answered("r1")) == [{"type": "ok", "ref": "r1"}]
    assert texts(session.refused("r1", "unavailable", "later")) == [
        {"type": "error", "ref": "r1", "code": "unavailable", "detail": "later"}
    ]


def test_a_mark_may_mean_all_items():
    """By a filter; nothing and both are refused, so that a forgotten field never means everything."""
    assert live().receive(b'{"type":"mark","action":"seen","filter":{}}', 1.0) == (
        Mark("", "seen", InboxFilter()),
    )
    assert live().receive(b'{"type":"mark","action":"seen","filter":{"unread":true}}', 1.0) == (
        Mark("", "seen", InboxFilter(unread=True)),
    )
    for which in ("", ',"ids":["0198f2b1-0000-7000-8000-000000000000"],"filter":{}', ',"ids":null'):
        session = live()
        (said,) = session.receive('{"type":"mark","ref":"1","action":"seen"' + which + "}", 1.0)
        assert isinstance(said, Frame)
        assert ("invalid_request" in said.text, session.state) == (True, SessionState.LIVE)


def test_a_wrong_id_is_an_error_and_no_reason_to_leave():
    """The command is refused by its `ref`, the session lives on."""
    session = live()
    (answer,) = texts(session.receive(b'{"type":"mark","ref":"7","action":"seen","ids":["x"]}', 1.0))
    assert (answer["type"], answer["ref"], answer["code"]) == ("error", "7", "invalid_request")
    assert session.state is SessionState.LIVE


def test_a_ping_is_answered():
    """A client may test the line."""
    assert live().receive('{"type":"ping"}', 1.0) == (PONG,)


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "hello",
        "[]",
        '{"type":"mark"}',
        '{"type":"subscribe"}',
        '{"type":"mark","action":"eaten","filter":{}}',
        '{"type":"mark","action":"seen","ids":"all"}',
        '{"type":"mark","action":"seen","filter":{"user":"bob"}}',
        '{"type":"mark","action":"seen","ids":"some"}',
        '{"type":"mark","action":"seen","filter":{},"user":"bob"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_command_ends_the_session_and_says_why(nonsense):
    """An error frame first, then a code that says: do not come back like this."""
    session = live()
    *answer, close = session.receive(nonsense, 1.0)
    assert [frame["code"] for frame in texts(tuple(answer))] == ["invalid_request"]
    assert close is PROTOCOL_ERROR
    assert not close.reconnect


def test_a_frame_over_the_limit_is_refused_unread():
    """Bytes count, not characters."""
    *answer, close = live().receive("ü" * 101, 1.0)
    assert [frame["code"] for frame in texts(tuple(answer))] == ["too_large"]
    assert close is PROTOCOL_ERROR


def test_a_burst_of_commands_is_fine_and_a_flood_is_not():
    """Three at once and one a second; over it the session ends, and the client may come back more slowly."""
    session = live()
    assert [session.receive('{"type":"ping"}', 1.0) for _ in range(3)] == [(PONG,)] * 3
    assert session.receive('{"type":"ping"}', 2.5) == (PONG,)
    assert session.receive('{"type":"ping"}', 2.5)[-1] is TOO_FAST
    assert TOO_FAST.reconnect


def test_after_the_end_nothing_is_answered():
    """Commands on their way when the session was closed are not carried out."""
    session = live()
    session.close(SHUTTING_DOWN)
    assert session.receive('{"type":"mark","action":"seen","filter":{}}', 1.0) == ()
    assert session.answered("1") == session.refused("1", "x", "y") == ()


# ── the line ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_comes_while_the_line_is_blocked_waits_in_order():
    """And the line is free again when the last of it is written."""
    session = live()
    session.blocked()
    waiting = [change(0), change(1)]
    assert [session.push(frame) for frame in waiting] == [(), ()]
    assert [session.drained(), session.drained(), session.drained()] == [*waiting, None]
    assert session.push(change(2)) != ()


def test_what_was_read_at_last_no_longer_counts():
    """A client may pause again and again, as long as it reads on."""
    session = live()
    for n in range(10):
        session.blocked()
        assert session.push(change(n, size=60)) == ()
        assert [session.drained(), session.drained()] != [None, None]
    assert session.state is SessionState.LIVE


@pytest.mark.parametrize("flood", [[10, 10, 10, 10], [60, 60]])
def test_a_client_that_does_not_read_is_closed_before_it_costs_memory(flood):
    """Too many frames, or too many bytes: what waited is dropped and the code says `come back and be replayed`."""
    session = live()
    session.blocked()
    effects = [session.push(change(n, size=size)) for n, size in enumerate(flood)]
    assert effects == [()] * len(flood)  # the line is blocked: even the code has to wait
    assert (session.state, session.ended) == (SessionState.CLOSING, SLOW_CONSUMER)
    assert [session.drained(), session.drained()] == [SLOW_CONSUMER, None]
    assert SLOW_CONSUMER.reconnect


def test_an_answer_and_a_close_keep_their_order_on_a_line_that_blocks_between_them():
    """The line may block on the first of two writes; the second follows it."""
    session = live()
    error, close = session.receive("nonsense", 1.0)
    session.blocked()
    assert close is PROTOCOL_ERROR
    session.close_later(PROTOCOL_ERROR)
    assert [session.drained(), session.drained()] == [close, None]
    assert isinstance(error, Frame)


def test_a_client_that_does_not_take_its_close_code_is_cut():
    """Some seconds of patience, then the line is cut: a socket that reads nothing must not hold a file for ever."""
    session = live()
    session.blocked()
    session.close(SLOW_CONSUMER)
    assert session.tick(100.0) == ()
    assert session.due() == 100.0 + RULES.close_s
    assert session.tick(session.due()) == (ABORT,)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_ends_its_session():
    """To the second, with the code that says: get a new one first."""
    session = live(expires=60.0)
    assert TOKEN_EXPIRED not in session.tick(59.9)
    assert session.due() <= 60.0
    assert session.tick(60.0) == (TOKEN_EXPIRED,)
    assert not TOKEN_EXPIRED.reconnect


def test_the_server_pings_so_that_a_client_notices_silence():
    """Every `ping_s`, the first one earlier for those that came at the same moment as others."""
    session = Session(RULES, 0.0, AN_HOUR, phase=0.5)
    session.loaded(Frame("{}", 0))
    assert session.due() == RULES.ping_s / 2
    assert session.tick(session.due()) == (PING,)
    assert session.due() == RULES.ping_s * 1.5


def test_a_client_that_answers_pings_is_missed_when_it_stops():
    """It is closed `ping_s + pong_s` after its last word."""
    session = live()
    session.receive('{"type":"pong"}', 20.0)
    assert session.tick(25.0) == (PING,)
    assert PING_TIMEOUT not in session.tick(54.9)
    assert session.tick(55.0) == (PING_TIMEOUT,)


def test_any_word_counts_as_a_sign_of_life():
    """A client that is busy marking need not pong as well."""
    session = live()
    session.receive('{"type":"pong"}', 0.0)
    session.receive('{"type":"ping"}', 34.0)
    assert PING_TIMEOUT not in session.tick(36.0)


def test_a_client_that_never_answers_pings_is_left_alone():
    """A script that only listens is served; its death is noticed by the transport."""
    session = live()
    assert [session.tick(at) for at in (25.0, 50.0, 75.0)] == [(PING,)] * 3


def test_a_blocked_line_is_not_pinged():
    """A ping behind a full buffer says nothing and costs room."""
    session = live()
    session.blocked()
    assert session.tick(25.0) == ()


# ── endings ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_ends_once():
    """The first reason stands."""
    session = live()
    assert session.close(SHUTTING_DOWN) == (SHUTTING_DOWN,)
    assert session.close(TOKEN_EXPIRED) == ()
    assert session.ended is SHUTTING_DOWN


def test_the_range_of_a_code_is_the_instruction():
    """4000-4499 come back, 4500-4999 do not; every code and every reason is its own."""
    assert {close.reconnect == (4000 <= close.code <= 4499) for close in CLOSES} == {True}
    assert {close.reconnect or 4500 <= close.code <= 4999 for close in CLOSES} == {True}
    assert len({close.code for close in CLOSES}) == len({close.reason for close in CLOSES}) == len(CLOSES)


def test_a_frame_and_a_close_are_told_apart_by_their_type():
    """Effects are carried out by type; subclasses would slip through."""
    assert {type(effect) for effect in (PING, frames.ok("1"))} == {Frame}
    assert type(SHUTTING_DOWN) is CloseCode


@pytest.mark.parametrize("nested", ['{"x":' + "[" * 8_000, '{"x":' + '{"x":' * 3_000, "[" * 8_000])
def test_a_command_nested_without_end_is_no_command(nested):
    """Deeper than any parser goes, within the size of a frame."""
    session = Session(Rules(), 0.0, AN_HOUR)
    session.loaded(Frame("{}", 0))
    *answer, close = session.receive(nested, 1.0)
    assert [frame["code"] for frame in texts(tuple(answer))] == ["invalid_request"]
    assert close is PROTOCOL_ERROR
