"""Web push as the RFCs have it: message encryption (8188, 8291) and who is sending (VAPID, 8292)."""
