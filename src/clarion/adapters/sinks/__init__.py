"""Sinks: topics, queues and URLs of tenants that are told what becomes of messages, one file each."""
