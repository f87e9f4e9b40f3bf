"""Where returned mail is read from."""
