"""From templates to channel content: compile, localise, render."""

from clarion.content.check import Problem, check
from clarion.content.partials import partials_used
from clarion.content.renderer import Renderer
from clarion.content.sms import Segments, segments

__all__ = ["Problem", "Renderer", "Segments", "check", "partials_used", "segments"]
