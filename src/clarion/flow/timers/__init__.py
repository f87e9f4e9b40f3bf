"""Stage 5, timers: claims every message that is due and returns it to dispatch."""
