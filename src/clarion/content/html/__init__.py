"""HTML and MJML of authors: sanitised, reviewed, and made into plain text."""
