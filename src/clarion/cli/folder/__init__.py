"""A folder with a tenant's configuration: one file a document."""
