"""What each type of step may say, and what it does: one file each."""
