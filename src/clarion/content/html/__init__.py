"""HTML and MJML from authors: sanitising, review, plain text."""
