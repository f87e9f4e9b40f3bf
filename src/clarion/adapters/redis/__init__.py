"""What several processes share through a Redis or Valkey server. The database stays the truth: all of it may be lost."""
