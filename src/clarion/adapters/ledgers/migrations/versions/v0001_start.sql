CREATE TABLE api_keys (
	id TEXT NOT NULL, 
	tenant INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	scope TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	expires_at INTEGER, 
	last_used_at INTEGER, 
	revoked_at INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT scope_known CHECK (scope IN ('admin', 'send', 'read')), 
	UNIQUE (hash)
);
CREATE INDEX api_keys_tenant ON api_keys (tenant);
CREATE TABLE cap_uses (
	user INTEGER NOT NULL, 
	scope TEXT NOT NULL, 
	at INTEGER NOT NULL, 
	message_id BLOB NOT NULL, 
	expires_at INTEGER NOT NULL, 
	PRIMARY KEY (user, scope, at, message_id)
)
 WITHOUT ROWID;
CREATE TABLE captures (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	message_id BLOB NOT NULL, 
	user INTEGER NOT NULL, 
	route INTEGER NOT NULL, 
	integration TEXT NOT NULL, 
	sealed BLOB NOT NULL, 
	at INTEGER NOT NULL
);
CREATE INDEX captures_message ON captures (message_id);
CREATE TABLE changes (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	message_id BLOB NOT NULL, 
	at INTEGER NOT NULL, 
	status INTEGER NOT NULL, 
	reason TEXT, 
	fence INTEGER DEFAULT 0 NOT NULL, 
	attempt INTEGER DEFAULT 0 NOT NULL, 
	unknowns INTEGER DEFAULT 0 NOT NULL, 
	integration TEXT, 
	outcome TEXT, 
	provider_id TEXT, 
	took_ms INTEGER, 
	detail TEXT, 
	due_at INTEGER, 
	traceparent TEXT
);
CREATE INDEX changes_message ON changes (message_id);
CREATE TABLE claims (
	tenant INTEGER NOT NULL, 
	"key" BLOB NOT NULL, 
	fingerprint BLOB NOT NULL, 
	answer BLOB NOT NULL, 
	expires_at INTEGER NOT NULL, 
	PRIMARY KEY (tenant, "key")
)
 WITHOUT ROWID;
CREATE INDEX claims_expiry ON claims (expires_at);
CREATE TABLE collapses (
	"key" BLOB NOT NULL, 
	message_id BLOB NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID;
CREATE TABLE contact_hashes (
	tenant INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	channel TEXT NOT NULL, 
	user INTEGER NOT NULL, 
	PRIMARY KEY (tenant, hash, channel, user)
)
 WITHOUT ROWID;
CREATE INDEX contact_hashes_user ON contact_hashes (user);
CREATE TABLE cursors (
	lane TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (lane), 
	CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk'))
);
CREATE TABLE dedupes (
	"key" BLOB NOT NULL, 
	run_id BLOB NOT NULL, 
	expires_at INTEGER NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID;
CREATE INDEX dedupes_expiry ON dedupes (expires_at);
CREATE TABLE documents (
	shelf TEXT NOT NULL, 
	tenant INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	live INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (shelf, tenant, "key", version)
)
 WITHOUT ROWID;
CREATE TABLE inbox (
	user INTEGER NOT NULL, 
	"offset" INTEGER NOT NULL, 
	message_id BLOB NOT NULL, 
	at INTEGER NOT NULL, 
	seen_at INTEGER, 
	read_at INTEGER, 
	archived_at INTEGER, 
	PRIMARY KEY (user, "offset")
)
 WITHOUT ROWID;
CREATE INDEX inbox_message ON inbox (message_id);
CREATE TABLE inbox_content (
	message_id BLOB NOT NULL, 
	sealed BLOB NOT NULL, 
	PRIMARY KEY (message_id)
)
 WITHOUT ROWID;
CREATE TABLE log_bulk (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id BLOB NOT NULL, 
	tenant INTEGER NOT NULL, 
	workflow TEXT NOT NULL, 
	sealed_for INTEGER NOT NULL, 
	sealed BLOB NOT NULL
);
CREATE TABLE log_critical (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id BLOB NOT NULL, 
	tenant INTEGER NOT NULL, 
	workflow TEXT NOT NULL, 
	sealed_for INTEGER NOT NULL, 
	sealed BLOB NOT NULL
);
CREATE TABLE log_high (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id BLOB NOT NULL, 
	tenant INTEGER NOT NULL, 
	workflow TEXT NOT NULL, 
	sealed_for INTEGER NOT NULL, 
	sealed BLOB NOT NULL
);
CREATE TABLE log_normal (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id BLOB NOT NULL, 
	tenant INTEGER NOT NULL, 
	workflow TEXT NOT NULL, 
	sealed_for INTEGER NOT NULL, 
	sealed BLOB NOT NULL
);
CREATE TABLE messages (
	id BLOB NOT NULL, 
	user INTEGER NOT NULL, 
	event_id BLOB NOT NULL, 
	event_seq INTEGER NOT NULL, 
	route INTEGER NOT NULL, 
	queue INTEGER NOT NULL, 
	status INTEGER NOT NULL, 
	reason TEXT, 
	created_at INTEGER NOT NULL, 
	due_at INTEGER, 
	expires_at INTEGER, 
	attempt INTEGER DEFAULT 0 NOT NULL, 
	unknowns INTEGER DEFAULT 0 NOT NULL, 
	fence INTEGER NOT NULL, 
	holder INTEGER, 
	later_rungs BLOB, 
	waits_for BLOB, 
	threaded INTEGER DEFAULT 0 NOT NULL, 
	charged INTEGER DEFAULT 0 NOT NULL, 
	updated_at INTEGER, 
	integration TEXT, 
	sent_at INTEGER, 
	delivered_at INTEGER, 
	seen_at INTEGER, 
	read_at INTEGER, 
	clicked_at INTEGER, 
	archived_at INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT status_known CHECK (status BETWEEN 0 AND 14), 
	CONSTRAINT reason_given CHECK (status < 5 OR reason IS NOT NULL), 
	CONSTRAINT done_is_done CHECK (status < 3 OR due_at IS NULL)
)
 WITHOUT ROWID;
CREATE INDEX messages_due ON messages (queue, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX messages_failed ON messages (status, id) WHERE status IN (5, 6, 7, 8, 9);
CREATE INDEX messages_user ON messages (user, id);
CREATE INDEX messages_waiting ON messages (waits_for) WHERE waits_for IS NOT NULL;
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE routes (
	no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant INTEGER NOT NULL, 
	workflow TEXT NOT NULL, 
	workflow_version INTEGER NOT NULL, 
	category TEXT NOT NULL, 
	step TEXT NOT NULL, 
	template TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	lane TEXT NOT NULL, 
	until TEXT NOT NULL, 
	CONSTRAINT channel_known CHECK (channel IN ('in_app', 'email', 'sms', 'push', 'chat', 'webhook', 'voice')), 
	CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk')), 
	UNIQUE (tenant, workflow, workflow_version, category, step, template, channel, lane, until)
);
CREATE TABLE runs (
	id BLOB NOT NULL, 
	tenant INTEGER NOT NULL, 
	user INTEGER NOT NULL, 
	event_id BLOB NOT NULL, 
	lane TEXT NOT NULL, 
	event_seq INTEGER NOT NULL, 
	workflow TEXT NOT NULL, 
	workflow_version INTEGER NOT NULL, 
	at INTEGER NOT NULL, 
	explanation BLOB NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID;
CREATE TABLE statuses (
	code INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (code)
);
CREATE TABLE subscriptions (
	tenant INTEGER NOT NULL, 
	topic TEXT NOT NULL, 
	user INTEGER NOT NULL, 
	PRIMARY KEY (tenant, topic, user)
)
 WITHOUT ROWID;
CREATE INDEX subscriptions_user ON subscriptions (user);
CREATE TABLE suppressions (
	tenant INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	channel TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at INTEGER NOT NULL, 
	PRIMARY KEY (tenant, hash, channel)
)
 WITHOUT ROWID;
CREATE TABLE tenants (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	"key" TEXT NOT NULL, 
	body BLOB NOT NULL, 
	UNIQUE ("key")
);
CREATE TABLE threads (
	"key" BLOB NOT NULL, 
	message_id BLOB NOT NULL, 
	PRIMARY KEY ("key")
)
 WITHOUT ROWID;
CREATE TABLE topics (
	tenant INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (tenant, "key")
)
 WITHOUT ROWID;
CREATE TABLE users (
	no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant INTEGER NOT NULL, 
	user_id TEXT NOT NULL, 
	wrapped_key BLOB NOT NULL, 
	profile BLOB NOT NULL, 
	revision INTEGER NOT NULL, 
	inbox_epoch TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	updated_at INTEGER NOT NULL, 
	UNIQUE (tenant, user_id)
);
CREATE INDEX users_tenant ON users (tenant);
INSERT INTO statuses (code, name) VALUES (0, 'queued'), (1, 'deferred'), (2, 'sending'), (3, 'sent'), (4, 'delivered'), (5, 'bounced'), (6, 'rejected'), (7, 'undelivered'), (8, 'failed'), (9, 'dead_lettered'), (10, 'suppressed'), (11, 'throttled'), (12, 'merged'), (13, 'canceled'), (14, 'expired');
