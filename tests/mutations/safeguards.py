"""What holds promises under concurrency and crashes, and the tests that fail without it. Add yours as a list of its own."""

from __future__ import annotations

from typing import NamedTuple


class Safeguard(NamedTuple):
    """One place in the source that must not be taken away."""

    name: str
    file: str
    """In `src/clarion`."""
    code: str
    """It stands there once."""
    without: str
    """What stands there when it is taken away."""
    test: str
    """Fails then: a file, and `-k` of pytest behind a colon."""


_RULES = "rules/exact/digests.py"
_FLOW = "tests/unit/flow/test_digests.py"
_CONTRACT = "tests/contract/test_ledger.py"
_MODEL = "tests/property/test_digests.py:in_memory"
_SERVER = "tests/property/test_digests.py:at_the_same_time"
_POSTGRESQL = "adapters/ledgers/postgresql"

DIGESTS = (
    Safeguard(
        "the lock of the users of items",
        f"{_POSTGRESQL}/checks.py",
        "    users.update(item.opens.user for plan in plans for item in plan.items)\n",
        "",
        _SERVER,
    ),
    Safeguard(
        "an item is taken once",
        "rules/exact/checks.py",
        "not canceled and item.part not in self._stored.known and",
        "not canceled and",
        f"{_CONTRACT}:an_item_is_taken_once and memory",
    ),
    Safeguard(
        "nothing of a canceled event is collected",
        "rules/exact/checks.py",
        "if not canceled and item.part",
        "if item.part",
        f"{_CONTRACT}:a_canceled_event_leaves and memory",
    ),
    Safeguard(
        "a duplicate is not collected",
        "rules/exact/checks.py",
        " and item.part not in self._duplicates:",
        ":",
        f"{_FLOW}:do_not_share",
    ),
    Safeguard(
        "what is late seals the digest before",
        _RULES,
        "latest.closed_at is None and now >= latest.closes_at:",
        "False:",
        _MODEL,
    ),
    Safeguard(
        "an item at the end belongs to the next",
        _RULES,
        "now >= latest.closes_at:",
        "now > latest.closes_at:",
        f"{_CONTRACT}:what_comes_at_the_end and memory",
    ),
    Safeguard(
        "a sliding end never comes sooner",
        _RULES,
        "closes_at=max(row.closes_at, ends)",
        "closes_at=ends",
        f"{_CONTRACT}:items_move_the_end and memory",
    ),
    Safeguard(
        "a sliding end has a latest",
        _RULES,
        "min(_beyond(Instant(now + row.window_ms), rule), row.latest_at)",
        "_beyond(Instant(now + row.window_ms), rule)",
        f"{_CONTRACT}:items_move_the_end and memory",
    ),
    Safeguard(
        "the time of a slot does not run back",
        _RULES,
        "return touched_at if now < touched_at < now + CLOCKS_MS else now",
        "return now",
        _MODEL,
    ),
    Safeguard(
        "a clock that was set back counts",
        _RULES,
        "if now < touched_at < now + CLOCKS_MS else now",
        "if now < touched_at else now",
        f"{_FLOW}:set_back",
    ),
    Safeguard("a full digest closes", _RULES, "row.items >= row.most_items", "False", _MODEL),
    Safeguard(
        "whoever looks at a digest that closes at once has to look again",
        f"{_POSTGRESQL}/digests.py",
        "SET due_at = new.at, holder = NULL, fence = fence + 1",
        "SET due_at = new.at",
        f"{_CONTRACT}:what_does_not_wait and postgresql",
    ),
    Safeguard(
        "what was closed meanwhile is decided again",
        f"{_POSTGRESQL}/digests.py",
        '        if done != f"INSERT 0 {len(values)}":\n            raise Again  # One was closed meanwhile by somebody who does not wait for users.\n',
        "",
        "tests/property/test_digests.py:canceled_while",
    ),
    Safeguard(
        "a digest closes when its time has come, not when its run is due",
        "adapters/ledgers/memory/digests.py",
        "if row.closes_at <= now:",
        "if True:",
        f"{_CONTRACT}:looked_at_early and memory",
    ),
    Safeguard(
        "only what is open gives items back",
        "adapters/ledgers/memory/digests.py",
        "item.withdrawn_at is None and tables.digests[item.digest].closed_at is None",
        "item.withdrawn_at is None",
        f"{_CONTRACT}:a_canceled_event_leaves and memory",
    ),
    Safeguard(
        "only whoever holds the run tells",
        "rules/exact/checks.py",
        "for one in plan.digest_totals if one.run not in known]",
        "for one in plan.digest_totals]",
        f"{_CONTRACT}:a_digest_is_told_once and memory",
    ),
    Safeguard(
        "the step is in the slot",
        "rules/keys.py",
        "workflow.encode(), step.encode())",
        'workflow.encode(), b"")',
        f"{_FLOW}:branch",
    ),
    Safeguard(
        "the expression is in the slot",
        "rules/keys.py",
        "(where, by.encode(), value)",
        '(where, b"", value)',
        f"{_FLOW}:another_key",
    ),
    Safeguard(
        "the user is in the slot",
        "rules/keys.py",
        'b"%d\\0%d\\0%s\\0%s" % (tenant, user,',
        'b"%d\\0%d\\0%s\\0%s" % (tenant, 0,',
        f"{_FLOW}:do_not_share",
    ),
    Safeguard(
        "a missing key is an error",
        "rules/steps/digest.py",
        "            return walk.fail(step, Reason.KEY_MISSING, by=step.by, error=str(wrong))\n",
        '            value = b""\n',
        f"{_FLOW}:key_that_is_missing",
    ),
    Safeguard(
        "nothing is collected before the time of its event",
        "rules/steps/digest.py",
        "if walk.facts.start > walk.now:",
        "if False:",
        f"{_FLOW}:scheduled_is_collected",
    ),
    Safeguard(
        "who moves gets the digest by the new clock",
        "flow/plan/digests.py",
        "zoned=user.revision if moves(collected.step) else None",
        "zoned=None",
        f"{_FLOW}:moves_east",
    ),
    Safeguard(
        "what has expired is not told",
        "rules/digests.py",
        "if one.content.expires_at is None or one.content.expires_at > now]",
        "]",
        f"{_FLOW}:expired_items",
    ),
    Safeguard(
        "a digest does not end in quiet hours",
        _RULES,
        "return over if start <= at < over else at",
        "return at",
        _MODEL,
    ),
    Safeguard(
        "who chooses another time gets the open digest then",
        "rules/exact/user_changes.py",
        "chosen.quiet_hours, chosen.digest, digests",
        "",
        f"{_FLOW}:chooses_otherwise",
    ),
)

_WAY = f"{_CONTRACT}:stands_in_its_way and memory"
BLOCKS = (
    Safeguard(
        "what does not go counts towards no cap",
        "rules/exact/checks.py",
        "if message.status is not Status.QUEUED:",
        "if False:",
        f"{_CONTRACT}:decided_already and memory",
    ),
    Safeguard(
        "a run that sends nothing keeps no key",
        "rules/exact/checks.py",
        "elif claim.holds:",
        "else:",
        _WAY,
    ),
    Safeguard(
        "what does not go is told which cap it reached",
        "rules/exact/checks.py",
        "self._say(message, *self._stored.counts.reached(charges))",
        "pass",
        _WAY,
    ),
    Safeguard(
        "where nobody knows the state the hours of all states hold",
        "rules/legal.py",
        "return UNKNOWN",
        "return None",
        "tests/unit/rules/test_legal.py:may_be_in_it",
    ),
    Safeguard(
        "what goes to a topic goes to the subscribers of those above it",
        "flow/groups.py",
        "for key in lineage(topic)]",
        "for key in (topic,)]",
        "tests/unit/flow/test_topics.py:subscribed_above",
    ),
    Safeguard(
        "an object has nobody above it, whatever dots are in its id",
        "rules/topics.py",
        "if is_object_key(key):",
        "if not key:",
        "tests/unit/flow/test_objects.py:choose_for_what_comes",
    ),
    Safeguard(
        "an object without channels has no message of its own",
        "flow/groups.py",
        "and itself.profile.contacts:",
        "and itself.no:",
        "tests/unit/flow/test_objects.py:no_message_of_its_own",
    ),
    Safeguard(
        "an override wins over whose turn it is",
        "rules/rotas.py",
        "if one.starts_at <= now < one.ends_at:",
        "if not one:",
        "tests/unit/flow/test_objects.py:an_override_wins",
    ),
    Safeguard(
        "who is gone has no turn",
        "rules/rotas.py",
        "(one for one in in_order if one in there)",
        "in_order",
        "tests/unit/flow/test_objects.py:an_override_wins",
    ),
    Safeguard(
        "handovers are counted by the calendar",
        "rules/rotas.py",
        "return instant_of_clock(wall, rota.timezone)",
        'return instant_of_clock(wall, "UTC")',
        "tests/property/test_rules_rotas.py:follow_one_another",
    ),
)

_SIGNALS = "tests/unit/flow/test_signals.py"
RUNS = (
    Safeguard(
        "what was accepted in time is planned before a wait for it is over",
        "rules/steps/wait.py",
        "known < due_at and",
        "False and",
        f"{_SIGNALS}:planned_late",
    ),
    Safeguard(
        "an event under way to the broker is waited for",
        "flow/plan/low_watermark.py",
        "now - UNDER_WAY_MS",
        "now",
        f"{_SIGNALS}:under_way",
    ),
    Safeguard(
        "a run that goes on after a failure has passed its throttle",
        "adapters/ledgers/memory/throttles.py",
        "if use[1:] == (run, part)]",
        "if False]",
        "tests/unit/flow/test_run_changes.py:goes_on_from_where",
    ),
    Safeguard(
        "tenants take turns",
        "adapters/ledgers/memory/runs.py",
        "turns[row.tenant] += 1",
        "pass",
        "tests/contract/test_ledger.py:tenants_take_turns and memory",
    ),
)
_FETCH = "tests/unit/flow/test_fetch.py"
_PURE = "tests/unit/rules/test_fetch.py"

CALLS = (
    Safeguard(
        "an answer is recorded only for who holds the run",
        "adapters/ledgers/memory/runs.py",
        "if one in rows and rows[one].fence == fence and holders.get(one) == worker",
        "if one in rows",
        "tests/unit/flow/test_step_calls.py:takes_long",
    ),
    Safeguard(
        "a repetition has the key of the first call",
        "services/connections.py",
        "id_text(call.id)",
        "id_text(call.id) + str(call.attempts)",
        f"{_FETCH}:asked_again",
    ),
    Safeguard(
        "other servers learn no secret",
        "services/connections.py",
        'headers = dict(request.headers) if same else {"accept": "application/json"}',
        "headers = dict(request.headers)",
        f"{_FETCH}:learn_no_secret",
    ),
    Safeguard(
        "data do not lead above the connection",
        "rules/steps/fetch.py",
        '    if any(_UP.fullmatch(segment) for segment in _BETWEEN.split(value.partition("?")[0])):\n',
        "    if False:\n",
        f"{_PURE}:no_such_call",
    ),
    Safeguard(
        "a slow service has its places and no more",
        "services/connections.py",
        "if len(line.held) < line.at_once * IN_LINE and len(self._held) < HELD:",
        "if True:",
        f"{_FETCH}:holds_up_nobody",
    ),
    Safeguard(
        "a call that is too late is not made",
        "services/connections.py",
        "if call.until is not None and self._clock.now() >= call.until:",
        "if False:",
        f"{_FETCH}:holds_up_nobody",
    ),
)

_ASKS = "tests/unit/flow/test_asks.py"
_PAGE = "tests/unit/api/test_answer_page.py"
_RESPONSES = "services/responses.py"

ANSWERS = (
    Safeguard(
        "the first answer counts",
        _RESPONSES,
        "            if before is not None:\n                return Reply(row, question.key, before, accepted=False)\n",
        "",
        f"{_ASKS}:at_once_one_wins",
    ),
    Safeguard(
        "nothing is changed that has gone on since",
        "adapters/ledgers/sqlite/runs.py",
        "WHERE id = ?9 AND fence = ?10 AND part = ?11",
        "WHERE id = ?9 AND ?10 = ?10 AND part = ?11",
        f"{_CONTRACT}:of_changes_at_once and sqlite",
    ),
    Safeguard(
        "nor on a server",
        f"{_POSTGRESQL}/runs.py",
        "WHERE id = $9 AND fence = $10 AND part = $11",
        "WHERE id = $9 AND $10 = $10::bigint AND part = $11",
        f"{_CONTRACT}:of_changes_at_once and postgresql",
    ),
    Safeguard(
        "an answer or an acknowledgement cancels what is not sent",
        "adapters/ledgers/sqlite/runs.py",
        "                self._terminations.stop(connection, stop, Status.CANCELED, why, row.updated_at)\n",
        "                pass\n",
        f"{_CONTRACT}:a_change_cancels_messages and sqlite",
    ),
    Safeguard(
        "an acknowledgement names what its steps planned",
        _RESPONSES,
        "sent = [one for step in steps for one in state.messages.get(step, ())]",
        "sent = list[MessageId]()",
        "tests/unit/flow/test_repeats.py:not_sent_yet_is_canceled",
    ),
    Safeguard(
        "nobody answers when the time is over",
        _RESPONSES,
        "            if now >= state.due_at:\n",
        "            if False:\n",
        f"{_ASKS}:timer_is_late",
    ),
    Safeguard(
        "a message of a question expires with it",
        "rules/steps/ask.py",
        "walk.send(step, walk.name(step), until)",
        "walk.send(step, walk.name(step), None)",
        f"{_ASKS}:not_sent_when_its_time",
    ),
    Safeguard(
        "opening a link answers nothing",
        "api/answer_page.py",
        "            if posted:\n",
        "            if True:\n",
        f"{_PAGE}:looking_answers_nothing",
    ),
    Safeguard(
        "a button belongs to its tenant",
        _RESPONSES,
        "if about is None or about[0] != tenant:",
        "if about is None:",
        f"{_PAGE}:another_tenant",
    ),
    Safeguard(
        "a button belongs to its user",
        _RESPONSES,
        "if message is None or user not in (None, message.user):",
        "if message is None:",
        f"{_PAGE}:by_its_user_only",
    ),
)

SAFEGUARDS = (
    *ANSWERS,
    *DIGESTS,
    *BLOCKS,
    *RUNS,
    *CALLS,
)
