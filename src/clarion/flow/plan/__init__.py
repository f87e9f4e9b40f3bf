"""Stage 2, plan: events become runs and messages, in one transaction per batch."""
