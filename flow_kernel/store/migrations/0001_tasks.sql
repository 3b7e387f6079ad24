-- Plans, tasks, steps, context, tags and the outbox.
-- Portable between SQLite and PostgreSQL but for the type of the outbox's number.

CREATE TABLE plan (
    plan_id     TEXT NOT NULL PRIMARY KEY,
    created_at  TEXT NOT NULL,
    last_task   INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE task (
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    type        TEXT NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    parent_id   TEXT,
    author      TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    started_at  TEXT,
    ended_at    TEXT,
    PRIMARY KEY (plan_id, task_id)
);

CREATE TABLE step (
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL,
    is_planned  INTEGER NOT NULL,
    parent      INTEGER,
    reason      TEXT NOT NULL,
    started_at  TEXT,
    ended_at    TEXT,
    PRIMARY KEY (plan_id, task_id, number)
);

-- One row a key: writers of different keys never overwrite each other, and a union is an upsert.
CREATE TABLE context_item (
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    author      TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    PRIMARY KEY (plan_id, task_id, key)
);
-- Without the value, which would make each update write one more page.
CREATE INDEX context_item_by_key ON context_item (key);

CREATE TABLE tag (
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    tag         TEXT NOT NULL,
    PRIMARY KEY (plan_id, task_id, tag)
);
CREATE INDEX tag_by_name ON tag (tag);

-- Every change of state, kept: the newest are still to be carried into the logs, all of them are the
-- history of the context. The newest row is never deleted: its number would be given out again.
-- Its history is asked for by people, who wait 25 ms where 200,000 rows are read; an index would make
-- each update of the context a fifth slower.
CREATE TABLE outbox (
    number      INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    key         TEXT,
    at          TEXT NOT NULL,
    fields      TEXT NOT NULL
);

CREATE TABLE carried (
    id          INTEGER NOT NULL PRIMARY KEY,
    number      INTEGER NOT NULL
);
INSERT INTO carried (id, number) VALUES (1, 0);

CREATE TABLE resumable (
    notebook    TEXT NOT NULL PRIMARY KEY,
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL
);
