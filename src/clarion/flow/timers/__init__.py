"""Stage 5, timers: whatever has a due time is claimed and goes back to dispatch."""
