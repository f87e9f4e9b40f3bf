"""Stage 3, dispatch: rechecks messages, renders them, sends them in batches, and decides what each outcome means."""
