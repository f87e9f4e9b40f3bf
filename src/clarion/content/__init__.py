"""From templates to channel content: review, compile, localise, render."""

from clarion.content.renderer import Renderer
from clarion.content.sms.segmentation import Segments, segments
from clarion.content.templates.diagnostics import Finding, Severity
from clarion.content.templates.errors import Code
from clarion.content.templates.overrides import check_overrides
from clarion.content.templates.partials import partials_used
from clarion.content.templates.review import review

__all__ = [
    "Code", "Finding", "Renderer", "Segments", "Severity", "check_overrides", "partials_used", "review", "segments",
]  # fmt: skip
