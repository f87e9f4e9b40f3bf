"""Runs previews, reviews and content from callers in the limited process."""

from __future__ import annotations

import msgspec

from clarion.flow.dispatch.rendering import MessageTask
from clarion.services.previews import PreviewTask
from clarion.services.templates import ReviewTask

TARGET = "clarion.services.limited:answer"
MEMORY_BYTES = 256 * 1024 * 1024
AUTHORS_CPU_S = 10
"""For all that an author looks at at once: every channel in every language."""
MESSAGE_CPU_S = 2

_decode = msgspec.json.Decoder(ReviewTask | PreviewTask | MessageTask).decode


def answer(task: bytes) -> bytes:
    """The result of a task."""
    return msgspec.json.encode(_decode(task).done())
