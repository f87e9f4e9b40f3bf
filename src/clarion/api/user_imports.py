"""`POST /v1/users/import`: users from a file, as an operation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from clarion.api.dependencies import ApiParts
from clarion.api.guards import SEND, Caller, Parts
from clarion.api.operations import STARTED, OperationFailure, OperationView, failure, is_complete, started
from clarion.api.parameters import AnyOf
from clarion.api.problems import refuse, wrong_parameter
from clarion.api.users import UserView, view
from clarion.model.operation import FileJob, ImportMode, OperationKind, UserFileFormat
from clarion.model.user import User
from clarion.ports import terms
from clarion.rules.text_lines import known_encoding
from clarion.services.user_imports import ImportPreview, PreviewedUser

MEDIA_TYPES = {"application/x-ndjson": UserFileFormat.NDJSON, "text/csv": UserFileFormat.CSV}
IMPORTED = (*MEDIA_TYPES, "text/plain", "application/octet-stream")
MOST_COLUMNS = 1_000

ByMode = Annotated[
    str,
    Parameter(
        description="`replace`: a line says all there is to know about a user, like PUT. `merge`: what it does not name stays"
    ),
    AnyOf(tuple(ImportMode)),
]
ByFormat = Annotated[
    str | None, Parameter(description="Left out: what `Content-Type` says"), AnyOf(tuple(UserFileFormat))
]
ByEncoding = Annotated[
    str | None,
    Parameter(
        description="`cp1252`, `shift_jis`, ... Left out: what `Content-Type` or a byte order mark says, else it is detected"
    ),
]
ByDelimiter = Annotated[
    str | None, Parameter(description="What separates the values of CSV. Left out: it is detected")
]
ByColumns = Annotated[
    str | None,
    Parameter(
        description='JSON: the fields of columns with other names, `{"E-Mail": "email"}`; null leaves a column out'
    ),
]


class SampledUser(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a user."""

    line: int
    user_id: str
    before: UserView | None
    """null: the user would be created."""
    after: UserView


class ImportSample(msgspec.Struct, frozen=True, kw_only=True):
    """What an import would do, as far as was looked: at the lines that were sent, of which the first 500 were tried."""

    format: UserFileFormat
    mode: ImportMode
    encoding: str
    encoding_source: Literal["told", "mark", "detected"]
    delimiter: str | None
    columns: list[str]
    """Which field each column is; empty: it is left out."""
    lines: int
    wrong: int
    errors: list[OperationFailure]
    users: list[SampledUser]


@post(
    "/import",
    opt={**SEND, "reads": IMPORTED},
    status_code=202,
    responses={
        **STARTED,
        200: ResponseSpec(
            ImportSample, generate_examples=False, description="Of a dry run: what it would do"
        ),
    },
)
async def import_users(
    request: Request[Any, Any, Any],
    caller: Caller,
    parts: Parts,
    mode: ByMode = "replace",
    format: ByFormat = None,
    encoding: ByEncoding = None,
    delimiter: ByDelimiter = None,
    columns: ByColumns = None,
) -> Response[OperationView]:
    """Create or change users from a file, NDJSON or CSV in any encoding, as an operation. A wrong line stops nobody else.

    A file that is larger than one request comes in pieces: send the first with `Upload-Complete: ?0`, and the others with
    `PATCH /v1/operations/{operation_id}/file`. With `dry_run=true` nothing is stored: the answer has the first lines that are
    wrong and a sample of what would change.
    """
    job = _job(request, mode, format, encoding, delimiter, columns)
    content, complete = await request.body(), is_complete(request)
    imports = parts.services.user_imports
    if terms.dry_running():
        preview = await imports.preview(caller.tenant, job, content, complete=complete)
        sample: Any = _sample(parts, preview)
        return Response(sample, status_code=200)
    operations = parts.services.operations
    operation = await operations.start_with_file(
        caller.tenant, OperationKind.IMPORT_USERS, job, uploading=True
    )
    operation = await imports.append(caller.tenant, operation.id, 0, content, complete=complete)
    operations.wake()
    return await started(parts, operation)


def _job(
    request: Request[Any, Any, Any],
    mode: str,
    format_: str | None,
    encoding: str | None,
    delimiter: str | None,
    columns: str | None,
) -> FileJob:
    media_type, _, rest = request.headers.get("content-type", "").partition(";")
    kind = UserFileFormat(format_) if format_ is not None else MEDIA_TYPES.get(media_type.strip().lower())
    if kind is None:
        raise refuse(
            "unsupported_media_type",
            "Say what the file is: `format=ndjson` or `format=csv`, or `Content-Type: text/csv`.",
        )
    if kind is UserFileFormat.NDJSON and (delimiter or columns):
        raise wrong_parameter("delimiter" if delimiter else "columns", "Only CSV has columns.")
    name, _, charset = rest.strip().partition("=")
    told = encoding or (charset.strip('"') if name.lower() == "charset" else None)
    try:
        known = "" if told is None else known_encoding(told)
    except ValueError as wrong:
        raise wrong_parameter("encoding", f"The {wrong}.") from None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise wrong_parameter("delimiter", "`delimiter` is one character, such as `;`.")
    return FileJob(
        format=kind,
        mode=ImportMode(mode),
        encoding=known,
        delimiter=delimiter or "",
        columns=_columns(columns),
    )


def _columns(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, str | None])
    except (msgspec.MsgspecError, RecursionError):
        raise wrong_parameter(
            "columns", '`columns` is a JSON object of texts, such as {"E-Mail": "email"}.'
        ) from None
    if len(found) > MOST_COLUMNS:
        raise wrong_parameter("columns", f"`columns` names at most {MOST_COLUMNS:,} columns.")
    return {name: field or "" for name, field in found.items()}


def _sample(parts: ApiParts, preview: ImportPreview) -> ImportSample:
    job = preview.job
    return ImportSample(
        format=job.format,
        mode=job.mode,
        encoding=job.encoding,
        encoding_source=job.encoding_source.value,
        delimiter=job.delimiter or None,
        columns=[*job.header],
        lines=preview.lines,
        wrong=preview.wrong,
        errors=[failure(parts, preview.operation, one) for one in preview.errors],
        users=[_sampled(one) for one in preview.users],
    )


def _sampled(one: PreviewedUser) -> SampledUser:
    before = one.before or User(no=0, tenant=0, id=one.user_id, key=b"", profile=one.after)  # type: ignore[arg-type]
    after = msgspec.structs.replace(before, profile=one.after)
    return SampledUser(
        line=one.line,
        user_id=one.user_id,
        before=None if one.before is None else view(one.before),
        after=view(after),
    )


router = Router("/v1/users", route_handlers=[import_users], tags=["Users"])
