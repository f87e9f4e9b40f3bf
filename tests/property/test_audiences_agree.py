"""A condition over users chooses the same ones as CEL itself, in memory, in SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cel_expr_python import cel
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.audience import Attribute, AttributeType, SearchableField
from clarion.model.channel import Channel
from clarion.model.ids import Instant, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import Contact, Profile, UserPut
from clarion.rules.audience import condition
from clarion.rules.exact import chooses, open_values
from clarion.rules.time_format import rfc3339
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger
from tests.needs import DEEP, examples
from tests.postgresql_ledgers import new_database

pytestmark = pytest.mark.timeout(3_600 if DEEP else 300)

TYPES = {
    "plan": AttributeType.STRING,
    "age": AttributeType.NUMBER,
    "vip": AttributeType.BOOLEAN,
    "ends": AttributeType.TIME,
    "tags": AttributeType.STRINGS,
}
ATTRIBUTES = {name: Attribute(type=type_, searchable=True) for name, type_ in TYPES.items()}
NOW = Instant(1_772_000_000_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TEXTS = st.sampled_from(
    ["", "a", "A", "ab", "ä", "a%", "_", "'", '"', "\\", "a b", "1", "true", "\U0001f600"]
)
NUMBERS = st.sampled_from([0, 1, -1, 1.0, 0.1, -0.5, 1e-7, 2**53, -(2**53), 1e300, 7])
TIMES = st.sampled_from([NOW, NOW - 1, NOW + 1, NOW - 3_600_000, NOW + 3_600_000, 0]).map(Instant)
WRONG = st.sampled_from([None, 0, "a", True, [], [1], {"a": 1}, 2**60, "2026-01-01"])
VALUES = {
    "plan": TEXTS | WRONG,
    "age": NUMBERS | WRONG,
    "vip": st.booleans() | WRONG,
    "ends": TIMES.map(rfc3339) | WRONG,
    "tags": st.lists(TEXTS, max_size=3) | WRONG,
}
PEOPLE = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional=VALUES), st.sampled_from(["", "de", "de-AT"]), st.booleans()
    ),
    min_size=4,
    max_size=4,
)
"""What each user's attributes are, the locale, and whether there is an email address and a topic."""


def _texts(field: str) -> st.SearchStrategy[str]:
    quoted = TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False))
    part = TEXTS.filter(bool).map(lambda text: json.dumps(text, ensure_ascii=False))
    return st.one_of(
        st.builds("{} {} {}".format, st.just(field), st.sampled_from(["==", "!="]), quoted),
        st.builds("{} == {}".format, quoted, st.just(field)),
        st.lists(quoted, max_size=3).map(lambda some: f"{field} in [{', '.join(some)}]"),
        st.builds(
            "{}.{}({})".format, st.just(field), st.sampled_from(["startsWith", "endsWith", "contains"]), part
        ),
    )


_SIGN = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
_NUMBER = NUMBERS.map(lambda number: f"({number})" if number < 0 else str(number))
_MOMENT = st.one_of(
    st.just("now"),
    TIMES.map(lambda at: f"timestamp('{rfc3339(at)}')"),
    st.sampled_from(["now - duration('1h')", "now + duration('1ms')", "duration('-1h') + now"]),
)
_TIME = st.sampled_from(["user.attributes.ends", "user.created_at"])
COMPARISONS = st.one_of(
    _texts("user.attributes.plan"),
    _texts("user.locale"),
    _texts("user.id"),
    st.builds("user.attributes.age {} {}".format, _SIGN, _NUMBER),
    st.builds("{} {} user.attributes.age".format, _NUMBER, _SIGN),
    st.lists(_NUMBER, max_size=3).map(lambda some: f"user.attributes.age in [{', '.join(some)}]"),
    st.sampled_from(["user.attributes.vip", "user.attributes.vip == false", "user.attributes.vip != true"]),
    st.sampled_from(
        [f"has(user.attributes.{name})" for name in TYPES] + ["has(user.locale)", "true", "false"]
    ),
    TEXTS.map(lambda text: f"{json.dumps(text, ensure_ascii=False)} in user.attributes.tags"),
    st.sampled_from(["'email' in user.channels", "'news' in user.topics", "'x' in user.topics"]),
    st.builds("{} {} {}".format, _TIME, _SIGN, _MOMENT),
    st.builds("{} {} {}".format, _MOMENT, _SIGN, _TIME),
    st.builds("now - {} {} duration('{}')".format, _TIME, _SIGN, st.sampled_from(["1h", "0s", "-1h"])),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map("!({})".format), st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner)
    ),
    max_leaves=6,
)


@cache
def _program(where: str) -> Any:
    """The times of a user are variables of their own here: the engine takes none inside a map."""
    own = re.sub(r"(?<!has\()user\.(attributes\.)?(ends|created_at)", r"\2", where)
    times = dict.fromkeys(("now", "ends", "created_at"), cel.Type.TIMESTAMP)
    return cel.NewEnv(variables={"user": cel.Type.DYN, **times}).compile(own)


def by_cel(where: str, facts: Mapping[str, Any]) -> bool:
    """What the engine of the language says; an error chooses nobody."""
    user: dict[str, Any] = {
        "id": facts["$id"],
        "attributes": {name: facts[name] for name in TYPES if name in facts},
        "channels": facts["$channels"],
        "topics": facts["$topics"],
    }
    if "$locale" in facts:
        user["locale"] = facts["$locale"]
    times = {"now": NOW, "created_at": facts["$created_at"], "ends": facts.get("ends")}
    given = {name: _moment(at) for name, at in times.items() if at is not None}
    try:
        return _program(where).eval(data={"user": user, **given}).value() is True
    except RuntimeError:
        return False


def _moment(at: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at)


class Answers:
    """One ledger with one tenant, whose users are written again for every example."""

    def __init__(self, subject: LedgerSubject) -> None:
        self._subject = subject

    async def open(self) -> Answers:
        """Everything is searchable, and nobody is there yet."""
        await self._subject.create_setup()
        tenants = self._subject.ledger.setup.tenants
        self.tenant = await tenants.change(self._subject.tenant, _searchable)
        await self._subject.ledger.users.delete(self.tenant.id, "ada")
        await self._subject.ledger.users.delete(self.tenant.id, "bob")
        return self

    async def write(self, people: list[tuple[dict[str, Any], str, bool]]) -> None:
        """These are the users now."""
        ledger = self._subject.ledger
        puts = [
            UserPut(id=f"u{place}", profile=_profile(attributes, locale, reached=reached))
            for place, (attributes, locale, reached) in enumerate(people)
        ]
        users = await ledger.users.put(self.tenant.id, puts)
        await ledger.topics.delete(self.tenant.id, "news")
        subscribed = [user.no for user, (_, _, reached) in zip(users, people, strict=True) if reached]
        await ledger.topics.subscribe(self.tenant.id, "news", subscribed)

    async def chosen(self, where: str) -> set[str]:
        """Whom this ledger says the condition chooses."""
        asked = condition(where, self.tenant)
        numbers = await self._subject.ledger.audiences.search(self.tenant.id, asked, NOW, None, 100)
        assert await self._subject.ledger.audiences.count(self.tenant.id, asked, NOW) == len(numbers)
        users = await self._subject.ledger.users.get(numbers)
        return {users[UserNo(no)].id for no in numbers}


def _searchable(tenant: Tenant) -> Tenant:
    return replace(tenant, attributes=ATTRIBUTES, searchable=tuple(SearchableField))


def _profile(attributes: dict[str, Any], locale: str, *, reached: bool) -> Profile:
    contacts = (Contact(channel=Channel.EMAIL, address="a@example.org"),) if reached else ()
    return Profile(attributes=attributes, locale=locale, contacts=contacts)


def _facts(
    tenant: Tenant, place: int, attributes: dict[str, Any], locale: str, *, reached: bool
) -> dict[str, Any]:
    return {
        **open_values(tenant, _profile(attributes, locale, reached=reached)),
        "$id": f"u{place}",
        "$channels": ["email"] if reached else [],
        "$topics": ["news"] if reached else [],
        "$created_at": NOW,
    }


def test_every_ledger_chooses_whom_cel_chooses(postgresql):
    """Random users, of whom some lack attributes or have some of other types, and random conditions over them."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as directory:
        clock, random = ManualClock(NOW), SeededRandom()
        given_to: dict[str, Any] = {"clock": clock, "random": random}
        vault = LocalVault(random.bytes(32), random)
        path = new_ledger(Path(directory) / "clarion.db")

        async def opened() -> list[tuple[Any, Answers]]:
            url = await new_database(postgresql)
            stores: list[Any] = [
                MemoryLedger(vault=vault, **given_to),
                SqliteLedger.open(path, vault=vault, **given_to),
                await PostgresLedger.open(url, vault=vault, **given_to),
            ]
            return [(store, await Answers(LedgerSubject(store, clock, random)).open()) for store in stores]

        ledgers = runner.run(opened())

        @settings(
            max_examples=examples(10),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(PEOPLE, st.lists(CONDITIONS, min_size=6, max_size=6))
        @example([({"age": 1.0, "tags": ["a"]}, "", True)] * 4, ["user.attributes.age == 1"])
        @example([({}, "", False)] * 4, ["!(user.attributes.plan in [])", "!(user.attributes.age in [])"])
        def agree(people: Any, conditions: list[str]) -> None:
            tenant = ledgers[0][1].tenant
            facts = [
                _facts(tenant, place, attributes, locale, reached=reached)
                for place, (attributes, locale, reached) in enumerate(people)
            ]

            async def ask() -> None:
                for _, answers in ledgers:
                    await answers.write(people)
                for where in conditions:
                    wanted = {one["$id"] for one in facts if by_cel(where, one)}
                    asked = condition(where, tenant)
                    assert {one["$id"] for one in facts if chooses(asked, one, NOW)} == wanted, where
                    for store, answers in ledgers:
                        assert await answers.chosen(where) == wanted, (type(store).__name__, where)

            runner.run(ask())

        try:
            agree()
        finally:
            for store, _ in ledgers:
                runner.run(store.close())
