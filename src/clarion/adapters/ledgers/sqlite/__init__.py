"""The default ledger: one SQLite file, one writer thread, one commit for everything that is pending."""
