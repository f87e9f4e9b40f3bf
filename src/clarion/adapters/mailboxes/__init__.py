"""Mailboxes that returned mail is read from: IMAP and Maildir."""
