"""Stage 4, track: stores the results of attempts and receipts, and publishes the changes."""
