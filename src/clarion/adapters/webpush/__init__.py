"""Web push: message encryption (RFC 8188, 8291) and identification of the sender (VAPID, RFC 8292)."""
