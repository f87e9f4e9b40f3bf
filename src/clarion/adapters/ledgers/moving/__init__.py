"""Moves a whole installation from a SQLite file to a PostgreSQL server, most of it while it serves."""
