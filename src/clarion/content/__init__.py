"""From templates to channel content: review, compile, localise, render."""

from clarion.content.faults import Code
from clarion.content.findings import Finding, Severity
from clarion.content.overrides import check_overrides
from clarion.content.partials import partials_used
from clarion.content.renderer import Renderer
from clarion.content.review import review
from clarion.content.sms import Segments, segments

__all__ = [
    "Code", "Finding", "Renderer", "Segments", "Severity", "check_overrides", "partials_used", "review", "segments",
]  # fmt: skip
