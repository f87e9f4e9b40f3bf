"""Shows what one user would receive on one channel."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Any

import msgspec
from babel.core import Locale

from clarion.content.templates.review import HTML_BYTES
from clarion.dashboard.editor import place
from clarion.model.channel import Channel
from clarion.model.content import EmailContent, WebhookContent
from clarion.model.push import MOST_BYTES
from clarion.services.previews import Broken, Preview, TextMessage

KEPT = 40
"""Rendered emails that frames can still load."""


class PreviewFrames:
    """The last emails that were looked at, for the frames that show them."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, bytes] = OrderedDict()

    def keep(self, html: str) -> str:
        """The name under which a frame can load this email for a while."""
        document = html.encode()
        name = blake2b(document, digest_size=12).hexdigest()
        self._documents[name] = document
        self._documents.move_to_end(name)
        while len(self._documents) > KEPT:
            self._documents.popitem(last=False)
        return name

    def document(self, name: str) -> bytes | None:
        """A rendered email that is still kept."""
        return self._documents.get(name)


def shown(preview: Preview, frames: PreviewFrames) -> dict[str, Any]:
    """What the page shows; when nothing could be rendered, where and why."""
    if preview.content is None:
        return {"kind": "wrong", **_refused(preview.error or Broken(detail="there is nothing to show"))}
    content = preview.content
    fields = {name: getattr(content, name) for name in content.__struct_fields__}
    values = {"kind": str(preview.channel), **fields, "locale": preview.locale}
    match preview.channel:
        case Channel.EMAIL:
            assert isinstance(content, EmailContent)
            size = preview.bytes.get("html", 0)
            frame = frames.keep(content.html) if content.html else ""
            return {
                **values,
                "frame": frame,
                "size": f"{size / 1024:.1f} KB",
                "clipped": size > HTML_BYTES,
            }
        case Channel.PUSH:
            size = preview.bytes["total"]
            return {**values, "size": size, "limit": MOST_BYTES, "too_large": size > MOST_BYTES}
        case Channel.WEBHOOK:
            assert isinstance(content, WebhookContent)
            return {**values, "body": _indented(content.body)}
        case _:
            return {**values, **({"sms": _billed(preview.sms)} if preview.sms else {})}


def _billed(sms: TextMessage) -> dict[str, Any]:
    """The segments, and the price list with the row of this reader marked."""
    costs = [
        {"where": _where(row), "cost": f"{cost.amount} {cost.currency}", "here": row == sms.priced_as}
        for row, cost in sms.cost.items()
    ]
    return {
        **msgspec.structs.asdict(sms),
        "costs": sorted(costs, key=lambda one: str(one["where"])),
        "here": next((one for one in costs if one["here"]), None),
    }


def _where(row: str) -> str:
    """`DE`: Germany; the beginning of numbers as it is."""
    return str(Locale("en").territories.get(row, row))


def _refused(wrong: Broken) -> dict[str, Any]:
    """Where and why. The detail names the place for logs; here it stands above it already."""
    where = place(wrong.pointer or "")
    detail = wrong.detail
    if (where["channel"] or where["partial"]) and detail.startswith("template `"):
        detail = detail.partition(": ")[2] or detail
    return {**where, "line": wrong.line, "detail": detail[:1].upper() + detail[1:]}


def _indented(body: str) -> str:
    try:
        return msgspec.json.format(body.encode(), indent=2).decode()
    except msgspec.DecodeError:
        return body
