"""Returned mail: bounces, complaints, automatic replies. Pure: bytes in, a verdict out."""

from clarion.content.bounces.answers import EmailAnswer, answer_in
from clarion.content.bounces.reading import Return, read
from clarion.content.bounces.refusals import refused_email
from clarion.content.bounces.verdict import BounceVerdict

__all__ = ["BounceVerdict", "EmailAnswer", "Return", "answer_in", "read", "refused_email"]
