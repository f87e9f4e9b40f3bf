"""Text messages: how many segments, and what they cost."""
