"""Mail that comes back: bounces, complaints, machines that answer. Pure: bytes in, a verdict out."""

from clarion.content.returns.reading import Return, read
from clarion.content.returns.verdict import Verdict

__all__ = ["Return", "Verdict", "read"]
