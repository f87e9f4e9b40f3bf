"""The in-app edge: live inboxes over WebSocket and SSE."""
