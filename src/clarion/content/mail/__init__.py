"""Builds emails (RFC 5322): MIME parts, safe header fields, DKIM signatures. No I/O."""

from clarion.content.mail.mime_builder import MimeBuilder

__all__ = ["MimeBuilder"]
