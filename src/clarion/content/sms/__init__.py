"""SMS: segments."""
