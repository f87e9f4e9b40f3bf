"""SMS: segments and costs."""
