"""Providers: how messages leave Clarion, one file or folder each."""
