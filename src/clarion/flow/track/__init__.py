"""Stage 4, track: what became of attempts is stored, and whoever watches is told; receipts come in here."""
