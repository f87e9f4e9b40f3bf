"""Mailboxes with returned email: IMAP and Maildir."""
