"""Conditions over users as SQL over a row `u` of `users`.

What a user lacks is NULL there, which chooses nobody. Negations stand before single comparisons only, so that is all a
store has to get right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.model.audience import (
    And,
    AttributeType,
    Comparison,
    Condition,
    Operator,
    Or,
    UserField,
    comparisons,
)
from clarion.model.ids import Instant
from clarion.model.user import RESERVED
from clarion.rules.exact import compared_with

FOREVER = 2**62
"""Behind every time."""
NOT_RESERVED = f"substr(u.user_id, 1, 1) <> '{RESERVED}'"
"""Not users that Clarion made for itself."""
_COLUMNS = {UserField.ID.value: "u.user_id", UserField.CREATED_AT.value: "u.created_at"}
_LAST_SEEN = 'SELECT max(d.seen_at) FROM devices AS d WHERE d."user" = u.no'
_HAS_CHANNEL = 'SELECT 1 FROM contact_hashes AS c WHERE c."user" = u.no AND c.channel = '
_HAS_TOPIC = 'SELECT 1 FROM subscriptions AS s WHERE s.tenant = u.tenant AND s."user" = u.no AND s.topic = '

json = msgspec.json.Encoder(order="deterministic").encode


class AudienceSql(ABC):
    """One condition at one time, in the SQL of one engine. `values` are its parameters, the first is number `first`."""

    def __init__(self, where: Condition, now: Instant, first: int) -> None:
        self._first = first
        self._now = now
        self.values: list[Any] = []
        self.where = f"{NOT_RESERVED} AND {self._of(where)}"

    @classmethod
    def look(cls, where: Condition, now: Instant, first: int) -> tuple[str, list[Any]] | None:
        """The time of `rules.exact.next_look` and its parameters; None: never for anybody."""
        sql, turns = cls(And(()), now, first), []
        for one in comparisons(where):
            if one.from_now:
                at = f"{sql.scalar(one)} - {sql.value(one.value)}"
                turns.append(f"coalesce(CASE WHEN {at} >= {sql.value(now)} THEN {at} + 1 END, {FOREVER})")
        return (f"nullif({sql.least(turns)}, {FOREVER})", sql.values) if turns else None

    def _of(self, where: Condition) -> str:
        if isinstance(where, And):
            return self._joined(where.parts, " AND ", "true")
        if isinstance(where, Or):
            return self._joined(where.parts, " OR ", "false")
        return f"({self._comparison(where)})"

    def _joined(self, parts: Sequence[Condition], between: str, empty: str) -> str:
        return f"({between.join(map(self._of, parts))})" if parts else empty

    def _comparison(self, one: Comparison) -> str:
        wanted = compared_with(one, self._now)
        if one.type is AttributeType.STRINGS:
            return self._of_list(one)
        if one.operator is Operator.PRESENT:
            return f"{self.scalar(one)} IS {'' if one.negated else 'NOT '}NULL"
        if one.operator is Operator.EQUAL and not one.negated and one.field not in _FIELDS:
            return self.equal(one.field, wanted)
        found = self._holds(one, wanted)
        return f"NOT ({found})" if one.negated else found

    def _holds(self, one: Comparison, wanted: Any) -> str:
        value = self.scalar(one)
        match one.operator:
            case Operator.ONE_OF:
                # Nothing is in an empty list, for SQL also what is NULL.
                return f"CASE WHEN {value} IS NOT NULL THEN {self.one_of(value, one.type, wanted)} END"
            case Operator.STARTS:
                return f"{self.starts(value, self.value(wanted))}"
            case Operator.ENDS:
                return f"{self.ends(value, self.value(wanted))}"
            case Operator.CONTAINS:
                return f"{self.position(value, self.value(wanted))} > 0"
            case _:
                return f"{value} {_SIGNS[one.operator]} {self.value(wanted, one.type)}"

    def _of_list(self, one: Comparison) -> str:
        there = "NOT EXISTS" if one.negated else "EXISTS"
        if one.field in (UserField.CHANNELS, UserField.TOPICS):
            if one.operator is Operator.PRESENT:
                return "false" if one.negated else "true"
            has = _HAS_CHANNEL if one.field == UserField.CHANNELS else _HAS_TOPIC
            return f"{there} ({has}{self.value(one.value)})"
        present = self.is_list(one.field)
        if one.operator is Operator.PRESENT:
            return f"NOT coalesce({present}, false)" if one.negated else present
        holds = self.holds(one.field, one.value)
        return f"{present} AND NOT {holds}" if one.negated else holds

    def scalar(self, one: Comparison) -> str:
        """The user's value of a field; NULL when there is none of this type."""
        if one.field in _COLUMNS:
            return _COLUMNS[one.field]
        return (
            f"({_LAST_SEEN})" if one.field == UserField.LAST_SEEN_AT else self.attribute(one.field, one.type)
        )

    @abstractmethod
    def value(self, value: Any, type_: AttributeType | None = None) -> str:
        """A parameter."""

    @abstractmethod
    def attribute(self, name: str, type_: AttributeType) -> str:
        """The value of what is open; NULL when there is none of this type."""

    @abstractmethod
    def equal(self, name: str, wanted: Any) -> str:
        """Whether what is open has this value, by an index where there is one."""

    @abstractmethod
    def one_of(self, value: str, type_: AttributeType, wanted: Sequence[Any]) -> str:
        """Whether a value is among these."""

    @abstractmethod
    def is_list(self, name: str) -> str:
        """Whether what is open is a list."""

    @abstractmethod
    def holds(self, name: str, wanted: Any) -> str:
        """Whether the list holds a text."""

    @abstractmethod
    def starts(self, value: str, wanted: str) -> str:
        """Whether a text starts with another."""

    @abstractmethod
    def ends(self, value: str, wanted: str) -> str:
        """Whether a text ends with another."""

    @abstractmethod
    def position(self, value: str, wanted: str) -> str:
        """Where a text stands in another; 0: nowhere."""

    @abstractmethod
    def least(self, values: Sequence[str]) -> str:
        """The smallest of numbers."""


_FIELDS = frozenset({*_COLUMNS, UserField.LAST_SEEN_AT.value})
_SIGNS = {Operator.EQUAL: "=", Operator.LESS: "<", Operator.AT_MOST: "<="}


class SqliteAudience(AudienceSql):
    """In the SQL of SQLite."""

    def value(self, value: Any, type_: AttributeType | None = None) -> str:
        self.values.append(value)
        return f"?{self._first + len(self.values) - 1}"

    def attribute(self, name: str, type_: AttributeType) -> str:
        found = f"""u.open_attributes ->> '$."{name}"'"""
        if type_ is AttributeType.STRING:
            return f"(CASE WHEN typeof({found}) = 'text' THEN {found} END)"
        kinds = "'true', 'false'" if type_ is AttributeType.BOOLEAN else "'integer', 'real'"
        return f"""(CASE WHEN json_type(u.open_attributes, '$."{name}"') IN ({kinds}) THEN {found} END)"""

    def equal(self, name: str, wanted: Any) -> str:
        return f"""u.open_attributes -> '$."{name}"' = {self.value(json(wanted).decode())}"""

    def one_of(self, value: str, type_: AttributeType, wanted: Sequence[Any]) -> str:
        return f"{value} IN (SELECT value FROM json_each({self.value(json(wanted).decode())}))"

    def is_list(self, name: str) -> str:
        return f"""json_type(u.open_attributes, '$."{name}"') = 'array'"""

    def holds(self, name: str, wanted: Any) -> str:
        return f"""EXISTS (SELECT 1 FROM json_each(u.open_attributes, '$."{name}"') WHERE value = {self.value(wanted)})"""

    def starts(self, value: str, wanted: str) -> str:
        return f"substr({value}, 1, length({wanted})) = {wanted}"

    def ends(self, value: str, wanted: str) -> str:
        return f"substr({value}, -length({wanted})) = {wanted}"

    def position(self, value: str, wanted: str) -> str:
        return f"instr({value}, {wanted})"

    def least(self, values: Sequence[str]) -> str:
        return f"min({', '.join([*values, str(FOREVER)])})"


class PostgresAudience(AudienceSql):
    """In the SQL of PostgreSQL."""

    def value(self, value: Any, type_: AttributeType | None = None) -> str:
        cast = (
            "::float8"
            if type_ is AttributeType.NUMBER
            else "::bigint"
            if isinstance(value, int)
            else "::text"
        )
        if isinstance(value, bool):
            cast = "::boolean"
        self.values.append(float(value) if type_ is AttributeType.NUMBER else value)
        return f"${self._first + len(self.values) - 1}{cast}"

    def _json(self, value: Any) -> str:
        self.values.append(json(value).decode())
        return f"${self._first + len(self.values) - 1}::jsonb"

    def attribute(self, name: str, type_: AttributeType) -> str:
        kind, cast = _TYPES[type_]
        found, text = f"u.open_attributes -> '{name}'", f"(u.open_attributes ->> '{name}'){cast}"
        return f"(CASE WHEN jsonb_typeof({found}) = '{kind}' THEN {text} END)"

    def equal(self, name: str, wanted: Any) -> str:
        return f"u.open_attributes @> {self._json({name: wanted})}"

    def one_of(self, value: str, type_: AttributeType, wanted: Sequence[Any]) -> str:
        number = type_ is AttributeType.NUMBER
        self.values.append([float(one) if number else one for one in wanted])
        return f"{value} = ANY(${self._first + len(self.values) - 1}::{'float8' if number else 'text'}[])"

    def is_list(self, name: str) -> str:
        return f"jsonb_typeof(u.open_attributes -> '{name}') = 'array'"

    def holds(self, name: str, wanted: Any) -> str:
        return f"u.open_attributes @> {self._json({name: [wanted]})}"

    def starts(self, value: str, wanted: str) -> str:
        return f"starts_with({value}, {wanted})"

    def ends(self, value: str, wanted: str) -> str:
        return f"right({value}, length({wanted})) = {wanted}"

    def position(self, value: str, wanted: str) -> str:
        return f"strpos({value}, {wanted})"

    def least(self, values: Sequence[str]) -> str:
        return f"least({', '.join(values)})"


_TYPES = {
    AttributeType.STRING: ("string", ' COLLATE "C"'),
    AttributeType.NUMBER: ("number", "::float8"),
    AttributeType.BOOLEAN: ("boolean", "::boolean"),
    AttributeType.TIME: ("number", "::bigint"),
}
