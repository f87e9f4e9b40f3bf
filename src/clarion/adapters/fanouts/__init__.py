"""Inbox changes to gateway nodes."""
