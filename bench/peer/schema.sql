CREATE TABLE users (
    id text PRIMARY KEY,
    email text NOT NULL,
    locale text NOT NULL,
    timezone text NOT NULL,
    wants_email boolean NOT NULL,
    quiet_from smallint NOT NULL,
    quiet_until smallint NOT NULL
);
CREATE TABLE suppressions (address text PRIMARY KEY);
CREATE TABLE notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    user_id text NOT NULL REFERENCES users,
    data jsonb NOT NULL,
    status text NOT NULL DEFAULT 'queued',
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX notifications_user ON notifications (user_id, created_at);
CREATE TABLE history (
    notification_id bigint NOT NULL REFERENCES notifications,
    status text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    detail text
);
CREATE INDEX history_notification ON history (notification_id);
