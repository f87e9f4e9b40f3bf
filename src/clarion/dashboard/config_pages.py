"""Documents of the configuration edited as YAML: what is wrong with them, what is different from what is live, and publishing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.editor import diff_lines
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes, fragment
from clarion.dashboard.workflow_pages import graph
from clarion.dashboard.yaml_completion import completions
from clarion.errors import ClarionError, InvalidInput, NotFound, PreconditionFailed
from clarion.model.setup import Workflow
from clarion.ports.configuration import CheckedDocument, DocumentFault
from clarion.rules import validation, yaml_text
from clarion.rules.yaml_text import Place, YamlError

route = PageRoutes()


class EditedKind(NamedTuple):
    """A kind of document that is edited as YAML."""

    name: str
    """Of its folder."""
    noun: str
    page: str
    """Where a document is looked at, before its key; empty: it has no page but this."""
    begin: str
    """What a new one starts from. `CATEGORY` and such stand for the first of its kind."""


KINDS = (
    EditedKind(
        "workflows",
        "workflow",
        "/ui/workflows/",
        "name: \ncategory: CATEGORY\nsteps:\n  - key: tell\n    template: TEMPLATE\n    to:\n      mode: all\n"
        "      channels: [CHANNELS]\n",
    ),
    EditedKind("segments", "segment", "/ui/segments/", "name: \nwhere: \"'email' in user.channels\"\n"),
    EditedKind(
        "schedules",
        "schedule",
        "",
        'workflow: WORKFLOW\nrecipients:\n  - topic: TOPIC\ncron: "0 9 * * mon"\ntimezone: recipient\n',
    ),
    EditedKind("categories", "category", "", "name: \ndescription: \n"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
REFERENCES = {"category": "categories", "template": "templates", "workflow": "workflows"}
"""Fields that hold the key of a document, and its kind."""


class TextFault(NamedTuple):
    """What is wrong with a text, and where."""

    line: int
    column: int
    detail: str


class ReadText(NamedTuple):
    """A text as a document, and what is wrong with it."""

    findings: Sequence[TextFault]
    written: Mapping[str, Any] | None
    checked: CheckedDocument | None


class TextAt(msgspec.Struct, frozen=True, kw_only=True):
    """A text and the cursor in it, both counted from 0."""

    text: str
    line: int
    column: int


@route("GET", "/ui/configuration", page=True)
async def overview(site: Site, request: PageRequest, _: str) -> Response:
    """All documents that are edited as YAML."""
    tenant, configuration = site.tenant(), site.parts.configuration
    kinds = [
        {"name": kind.name, "noun": kind.noun, "keys": await configuration.keys(tenant, kind.name)}
        for kind in KINDS
    ]
    return Response(body=pages.render("configuration.html", here="configuration", kinds=kinds))


@route("GET", "/ui/configuration/*", page=True)
async def new(site: Site, request: PageRequest, kind: str) -> Response:
    """To the editor of the key that a form asks for."""
    key = request.query.get("key", "").strip()
    if kind not in BY_NAME:
        raise NotFound(f"There is no kind {kind!r} that is edited here.")
    validation.check_key(key, "#/key")
    return Response(status=303, headers={"location": f"/ui/{kind}/{quote(key, safe='')}/edit"})


async def edit(site: Site, request: PageRequest, key: str, *, kind: EditedKind) -> Response:
    """The editor of a document; of a new one when there is none of that key. `version`: with the text of an old one."""
    validation.check_key(key, "#/key")
    tenant, configuration = site.tenant(), site.parts.configuration
    live = await configuration.live(tenant, kind.name, key)
    text = _begin(site, kind) if live is None else yaml_text.written(live.written)
    if version := request.query.get("version"):
        if not version.isascii() or not version.isdigit():
            raise InvalidInput("This address asks for a version in a way that does not exist.")
        old = await configuration.live(tenant, kind.name, key, int(version))
        if old is None:
            raise NotFound(f"The {kind.noun} {key!r} has no version {version}.")
        text = yaml_text.written(old.written)
    return await _editor(site, kind, key, text, tag="" if live is None else live.tag, version=version or "")


async def check(site: Site, request: PageRequest, key: str, *, kind: EditedKind) -> Response:
    """The editor again, with everything that is wrong with the text."""
    text, tag = _sent(request)
    return await _editor(site, kind, key, text, tag=tag)


async def look(site: Site, request: PageRequest, key: str, *, kind: EditedKind) -> Response:
    """What is wrong with the text, for the script of the editor."""
    text, _ = _sent(request)
    read = await read_text(site, kind.name, key, text)
    return fragment("document_checks.html", **_checks(read))


async def complete(site: Site, request: PageRequest, key: str, *, kind: EditedKind) -> Response:
    """What may stand at the cursor."""
    at = msgspec.json.decode(request.body, type=TextAt)
    tenant, configuration = site.tenant(), site.parts.configuration
    names = {field: await configuration.keys(tenant, of) for field, of in REFERENCES.items()}
    found = completions(configuration.schema(kind.name), names, at.text, at.line, at.column)
    return Response(body=msgspec.json.encode(found._asdict()), type="application/json")


async def review(site: Site, request: PageRequest, key: str, *, kind: EditedKind) -> Response:
    """What is different from what is live, and the button that publishes it; the editor again when something is wrong."""
    text, tag = _sent(request)
    read = await read_text(site, kind.name, key, text)
    if read.findings or read.checked is None:
        return await _editor(site, kind, key, text, tag=tag, read=read)
    return await _review(site, kind, key, text, tag, read)


async def publish(site: Site, request: PageRequest, key: str, *, kind: EditedKind) -> Response:
    """Make the text live, in place of what it was compared with; compared again when that is another by now."""
    text, tag = _sent(request)
    tenant, configuration = site.tenant(), site.parts.configuration
    read = await read_text(site, kind.name, key, text)
    if read.findings or read.written is None:
        return await _editor(site, kind, key, text, tag=tag, read=read)
    try:
        await configuration.publish(tenant, kind.name, key, read.written, tag or None)
    except PreconditionFailed:
        return await _review(site, kind, key, text, tag, read, changed=True)
    except ClarionError as wrong:
        found = ReadText([TextFault(1, 1, wrong.detail)], read.written, None)
        return await _editor(site, kind, key, text, tag=tag, read=found)
    name = quote(key, safe="")
    where = kind.page + name if kind.page else f"/ui/{kind.name}/{name}/edit"
    return Response(status=303, headers={"location": where})


for _kind in KINDS:
    route("GET", f"/ui/{_kind.name}/*/edit", page=True)(partial(edit, kind=_kind))
    for _path, _handler in (
        ("edit", check),
        ("check", look),
        ("completions", complete),
        ("review", review),
        ("publish", publish),
    ):
        route("POST", f"/ui/{_kind.name}/*/{_path}")(partial(_handler, kind=_kind))


async def read_text(site: Site, kind: str, key: str, text: str) -> ReadText:
    """What a text says, and everything that is wrong with it, with line and column."""
    try:
        written, places = yaml_text.read(text)
    except YamlError as wrong:
        return ReadText([TextFault(*wrong.place, str(wrong))], None, None)
    if not isinstance(written, dict):
        return ReadText(
            [TextFault(1, 1, "a document is an object: fields with values, like `name: Orders`")], None, None
        )
    checked = await site.parts.configuration.check(site.tenant(), kind, key, written)
    found = sorted({TextFault(*_place(places, one), one.detail) for one in checked.faults})
    return ReadText(found, written, checked)


def _place(places: Mapping[str, Place], fault: DocumentFault) -> Place:
    """Where a fault stands: at the nearest part of the document that is written."""
    pointer = fault.pointer
    while pointer:
        for name in (f"{pointer}#", pointer) if fault.unknown_field else (pointer,):
            if name in places:
                return places[name]
        pointer = pointer.rpartition("/")[0]
    return Place(1, 1)


async def _editor(
    site: Site,
    kind: EditedKind,
    key: str,
    text: str,
    *,
    tag: str,
    version: str = "",
    read: ReadText | None = None,
) -> Response:
    read = read or await read_text(site, kind.name, key, text)
    body = pages.render(
        "document.html",
        here=_here(kind),
        below=True,
        kind=kind._asdict(),
        key=key,
        text=text,
        tag=tag,
        version=version,
        **_checks(read),
    )
    return Response(body=body)


async def _review(
    site: Site, kind: EditedKind, key: str, text: str, tag: str, read: ReadText, *, changed: bool = False
) -> Response:
    """`changed`: somebody else published meanwhile, so that it is compared with that now."""
    live = await site.parts.configuration.live(site.tenant(), kind.name, key)
    assert read.checked is not None
    now = "" if live is None else live.tag
    body = pages.render(
        "document_review.html",
        here=_here(kind),
        below=True,
        kind=kind._asdict(),
        key=key,
        text=text,
        tag=now,
        changed=changed or tag != now,
        lines=diff_lines(
            "" if live is None else yaml_text.written(live.written), yaml_text.written(read.checked.written)
        ),
        fresh=live is None,
        waiting=[{"version": one, "count": f"{count:,}"} for one, count in read.checked.waiting_runs.items()],
    )
    return Response(body=body)


def _checks(read: ReadText) -> dict[str, Any]:
    document = None if read.checked is None else read.checked.document
    drawn = graph(document, {}) if isinstance(document, Workflow) else {}
    return {"findings": [one._asdict() for one in read.findings], **drawn}


def _here(kind: EditedKind) -> str:
    return kind.name if kind.name in pages.SECTIONS else "configuration"


def _sent(request: PageRequest) -> tuple[str, str]:
    """The text of the editor, and what it was made from."""
    form = request.form()
    return "".join(form.get("text", ())).replace("\r\n", "\n"), "".join(form.get("tag", ()))


def _begin(site: Site, kind: EditedKind) -> str:
    """What a new document starts from, with names that there are."""
    text = kind.begin
    setup, tenant = site.parts.ledger.setup, site.tenant()
    template = min(setup.templates.all(tenant).values(), key=lambda one: one.key, default=None)
    for name, value in (
        ("CATEGORY", min(setup.categories.all(tenant), default=None)),
        ("TEMPLATE", None if template is None else template.key),
        ("CHANNELS", None if template is None else ", ".join(template.channels)),
        ("WORKFLOW", min(setup.workflows.all(tenant), default=None)),
    ):
        text = text if value is None else text.replace(name, value)
    return text
