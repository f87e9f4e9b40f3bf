"""Web push: message encryption (RFC 8188, 8291) and who is sending (VAPID, RFC 8292)."""
