-- Workflows, their runs, the steps of these, and the variables that steps have set.

-- Definitions, each once however often it was run.
CREATE TABLE workflow_document (
    sha256      TEXT NOT NULL PRIMARY KEY,
    document    TEXT NOT NULL
);

-- Definitions that are started by their name.
CREATE TABLE workflow (
    workflow_id TEXT NOT NULL PRIMARY KEY,
    sha256      TEXT NOT NULL,
    stored_at   TEXT NOT NULL
);

CREATE TABLE run (
    run_id      TEXT NOT NULL PRIMARY KEY,
    workflow    TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    plan_id     TEXT NOT NULL,
    task_id     TEXT NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    options     TEXT NOT NULL,
    output_data TEXT,
    owner       TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    started_at  TEXT,
    completed_at TEXT
);
CREATE INDEX run_unfinished ON run (run_id) WHERE status IN ('pending', 'running', 'waiting');

-- Steps that have begun, or never will: a pending one has no row.
CREATE TABLE run_step (
    run_id      TEXT NOT NULL,
    step_id     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    executor    TEXT NOT NULL,
    started_at  TEXT,
    ended_at    TEXT,
    elapsed_ms  REAL,
    error       TEXT,
    output      TEXT,
    output_object TEXT,
    logs        TEXT NOT NULL,
    approval_id TEXT,
    reused_from TEXT,
    PRIMARY KEY (run_id, step_id)
);

-- What a run began with (of no step), and what its steps have set; a large value is an object of the
-- home.
CREATE TABLE run_variable (
    run_id      TEXT NOT NULL,
    name        TEXT NOT NULL,
    value       TEXT,
    object      TEXT,
    step_id     TEXT NOT NULL,
    PRIMARY KEY (run_id, name, step_id)
);

-- Results of steps by their code, inputs and environment.
CREATE TABLE step_result (
    cache_key   TEXT NOT NULL PRIMARY KEY,
    output      TEXT,
    output_object TEXT,
    run_id      TEXT NOT NULL,
    made_at     TEXT NOT NULL
);
