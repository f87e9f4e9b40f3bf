"""Content as RFC 5322: MIME parts, header fields that nothing can be smuggled into, DKIM signatures. No I/O."""

from clarion.content.mail.mime_builder import MimeBuilder

__all__ = ["MimeBuilder"]
