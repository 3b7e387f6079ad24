-- Questions that wait for a person, and what was answered.

-- The last number that was given out, by the letter of its ids.
CREATE TABLE counter (
    letter      TEXT NOT NULL PRIMARY KEY,
    last        INTEGER NOT NULL
);

CREATE TABLE approval (
    approval_id     TEXT NOT NULL PRIMARY KEY,
    plan_id         TEXT NOT NULL,
    task_id         TEXT NOT NULL,
    step            TEXT,
    message         TEXT NOT NULL,
    code_sha256     TEXT,
    payload_sha256  TEXT,
    approval_hash   TEXT NOT NULL,
    level           TEXT NOT NULL,
    status          TEXT NOT NULL,
    requested_by    TEXT NOT NULL,
    requested_at    TEXT NOT NULL,
    session         TEXT NOT NULL,
    decided_by      TEXT,
    decided_at      TEXT,
    channel         TEXT,
    comment         TEXT NOT NULL,
    expires_at      TEXT,
    on_timeout      TEXT NOT NULL,
    is_used         INTEGER NOT NULL
);
CREATE INDEX approval_by_hash ON approval (approval_hash, is_used);
