-- Times are microseconds since 1970 in UTC. Ids are the 16 bytes of a UUID. Streams and roles are small numbers.

-- Rights beyond one session. The row with the id of zeros counts what happened to every project.
CREATE TABLE projects (
    project_id BLOB PRIMARY KEY,
    rights_epoch INTEGER NOT NULL
) WITHOUT ROWID;

-- Where each session stands. Updated by every commit, so it holds nothing long.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid BLOB NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    project_id BLOB NOT NULL,
    rev INTEGER NOT NULL,
    head_main INTEGER NOT NULL,
    head_side INTEGER NOT NULL,
    head_staff INTEGER NOT NULL,
    head_stage INTEGER NOT NULL,
    -- The hash of the last event of each stream, 32 bytes each.
    tips BLOB NOT NULL,
    wake_at INTEGER,
    updated_at INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    -- Active or paused.
    is_open INTEGER NOT NULL DEFAULT 0,
    -- The last commit that erased something; view snapshots of before may hold it.
    redacted_rev INTEGER NOT NULL DEFAULT 0,
    -- The directory entry as JSON, once there is one.
    info INTEGER
);
CREATE INDEX sessions_wake_at ON sessions (wake_at) WHERE wake_at IS NOT NULL;

-- Heap. A row that was emptied bears the negative of its own id as session.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    -- The position in the commit.
    pos INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    key BLOB NOT NULL,
    fingerprint INTEGER,
    branch BLOB,
    seen INTEGER,
    -- 16 bytes for each parent.
    causes BLOB,
    header BLOB NOT NULL,
    -- Null once redacted; then body is without its text and `seals` has what proves it.
    salt BLOB,
    body BLOB NOT NULL,
    hash BLOB NOT NULL
);
CREATE UNIQUE INDEX events_seq ON events (session, stream, seq);
CREATE UNIQUE INDEX events_uuid ON events (session, uuid);

-- SHA-256(salt || body) of redacted events, beside the heap because a row there must not grow.
CREATE TABLE seals (
    event INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    body_hash BLOB NOT NULL
);
CREATE INDEX seals_session ON seals (session);

-- Content that can be erased; see blob.rs.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
);

CREATE TABLE members (
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user BLOB NOT NULL,
    role INTEGER NOT NULL,
    PRIMARY KEY (session, user)
) WITHOUT ROWID;
CREATE INDEX members_user ON members (user);

CREATE TABLE states (
    session INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    format INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    blob INTEGER NOT NULL
);

-- Kind 0: the head for a set of streams (which). Kind 1: page n of a stream (which).
CREATE TABLE views (
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    which INTEGER NOT NULL,
    n INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    PRIMARY KEY (session, kind, which, n)
) WITHOUT ROWID;

CREATE TABLE read_marks (
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    participant BLOB NOT NULL,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (session, participant, stream)
) WITHOUT ROWID;

-- Heap.
CREATE TABLE document_updates (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    document BLOB NOT NULL,
    n INTEGER NOT NULL,
    -- Null: the server itself.
    actor BLOB,
    bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX document_updates_n ON document_updates (session, document, n);

-- Heap. due_at is null once sent.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    kind TEXT NOT NULL,
    idempotency_key BLOB NOT NULL,
    due_at INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX outbox_due_at ON outbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_session ON outbox (session) WHERE due_at IS NOT NULL;

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    display_name TEXT NOT NULL,
    guest INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE logins (
    token_hash BLOB PRIMARY KEY,
    user BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE links (
    id BLOB PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    role INTEGER NOT NULL,
    password_hash TEXT,
    created_by BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    max_uses INTEGER,
    uses INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX links_session ON links (session, created_at);

-- Counters of the store about itself.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('fence', 0), ('emptied_bytes', 0);
