"""Users as files have them: a line says what `PUT /v1/users/{user_id}` does, with `topics` and `consents` besides."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clarion.api import request_bodies
from clarion.api.consents import ConsentBody, check_consent, origin_of, purposes_of, statement_of
from clarion.api.problems import Fault, RejectedRequest, faults_at, faults_of
from clarion.api.users import UserBody, check_user, merging, replacing, view
from clarion.errors import ClarionError
from clarion.model.operation import FileJob, ImportMode, UserFileFormat
from clarion.model.setup import Tenant
from clarion.model.user import User
from clarion.rules import validation
from clarion.rules.user_lines import ATTRIBUTE, PLAIN, SAID_BY_THE_SERVER
from clarion.services.user_imports import LineFault, LineTerms, SaidOfUser

BESIDES = ("topics", "consents", *SAID_BY_THE_SERVER)
"""Not the fields of a user."""
MOST_TOPICS = 100
MOST_CONSENTS = 100
ABOUT_CONTACTS = ("id", "suppressed")
"""What only the server says of a contact."""


class UserLines:
    """Implements `services.user_imports.LineReader`."""

    def read(self, document: Mapping[str, Any], terms: LineTerms) -> SaidOfUser:
        rest = {name: value for name, value in document.items() if name not in BESIDES}
        request_bodies.check_depth(msgspec.json.encode(rest), request_bodies.DEPTH)
        user_id = request_bodies.convert({"user_id": document.get("user_id")}, UserBody).user_id or ""
        if terms.mode is ImportMode.REPLACE:
            body = request_bodies.convert(rest, UserBody)
            check_user(body, user_id, terms.tenant)
            change = replacing(body)
        else:
            change = merging(user_id, rest, terms.tenant)
            change(None)  # it is well-formed by itself
        topics = _list(document, "topics", str, MOST_TOPICS)
        for place, topic in enumerate(topics):
            validation.check_key(topic, f"#/topics/{place}")
        consents = _list(document, "consents", ConsentBody, MOST_CONSENTS)
        purposes = purposes_of(terms.categories)
        for place, consent in enumerate(consents):
            try:
                check_consent(consent, purposes, terms.now)
            except ClarionError as wrong:
                faults = faults_at(f"/consents/{place}", wrong)
                raise RejectedRequest(faults[0].detail, faults) from None
        said = tuple((statement_of(one), origin_of(one)) for one in consents)
        return SaidOfUser(user_id, change, tuple(topics), said)

    def fault(self, error: ClarionError) -> LineFault:
        found = faults_of(error)
        return LineFault(error.code, "; ".join(map(_told, found)), found[0].pointer)


USER_LINES = UserLines()


def write_users(users: Sequence[User], tenant: Tenant, job: FileJob, begins: bool) -> bytes:
    """Users as an export has them. `begins`: with the line of column names, if there is one."""
    documents = [_written(user) for user in users]
    if job.format is UserFileFormat.NDJSON:
        return b"".join(msgspec.json.encode(one) + b"\n" for one in documents)
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    known = sorted(tenant.attributes)
    if begins:
        names = [ATTRIBUTE + name for name in known]
        rows.writerow([*PLAIN, "contacts", *names, "attributes", "created_at", "updated_at"])
    for one in documents:
        attributes = one["attributes"]
        others = {name: value for name, value in attributes.items() if name not in tenant.attributes}
        rows.writerow(
            [
                *(one[name] or "" for name in PLAIN),
                _cell(one["contacts"] or None),
                *(_cell(attributes.get(name)) for name in known),
                _cell(others or None),
                one["created_at"],
                one["updated_at"],
            ]
        )
    return text.getvalue().encode()


def _written(user: User) -> dict[str, Any]:
    """As an import takes it."""
    shown: dict[str, Any] = msgspec.to_builtins(view(user))
    contacts = [
        {name: value for name, value in one.items() if name not in ABOUT_CONTACTS}
        for one in shown["contacts"]
    ]
    kept = {name: shown[name] for name in (*PLAIN, "attributes", "created_at", "updated_at")}
    return {**kept, "contacts": contacts}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(one, str) and ";" not in one for one in value):
        return ";".join(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _list(document: Mapping[str, Any], name: str, kind: Any, most: int) -> list[Any]:
    """A field that is a list, or missing."""
    try:
        found: list[Any] = request_bodies.convert(document.get(name) or [], list[kind])
    except RejectedRequest as wrong:
        faults = faults_at(f"/{name}", wrong)
        raise RejectedRequest(faults[0].detail, faults) from None
    if len(found) > most:
        detail = f"`{name}` has at most {most} entries."
        raise RejectedRequest(detail, [Fault(detail=detail, pointer=f"#/{name}")])
    return found


def _told(fault: Fault) -> str:
    place = fault.pointer.removeprefix("#/")
    return f"{place}: {fault.detail}" if place and place not in fault.detail else fault.detail
