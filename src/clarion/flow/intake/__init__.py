"""Stage 1, intake: a submission is resolved to workflows and users, sealed, and appended durably to its lane."""
