-- Share codes. Null: switched off. A session that has ended has no row any more.
CREATE TABLE codes (
    session INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    code TEXT UNIQUE
);

-- One of twelve hues. Null: the one that follows from the id.
ALTER TABLE users ADD COLUMN colour INTEGER;

-- Uploaded files. Their content is in files named by `hash`, everything that people wrote about them in `blobs`.
CREATE TABLE attachments (
    id BLOB PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    uploader BLOB NOT NULL,
    stream INTEGER NOT NULL,
    hash BLOB NOT NULL,
    -- Name, type and size as JSON.
    info INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- The message that it was posted with.
    message BLOB
) WITHOUT ROWID;
CREATE INDEX attachments_hash ON attachments (hash);
CREATE INDEX attachments_session ON attachments (session, message);
CREATE INDEX attachments_unposted ON attachments (created_at) WHERE message IS NULL;

-- Content that may have no attachment any more. Its file goes once this is on the disk.
CREATE TABLE doomed (
    hash BLOB PRIMARY KEY
) WITHOUT ROWID;
