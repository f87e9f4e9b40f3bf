"""Email over SMTP: one relay per integration, pipelined over pooled connections."""

from clarion.adapters.providers.smtp.plugin import plugin

__all__ = ["plugin"]
