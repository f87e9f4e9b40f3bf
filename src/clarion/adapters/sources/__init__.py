"""Sources: topics, queues and streams that tenants have elsewhere, one file each."""
