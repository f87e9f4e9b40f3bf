"""Stage 3, dispatch: messages are checked again, rendered, sent in batches, and the outcome decided."""
