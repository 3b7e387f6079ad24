-- What a question is about, in words, and when it is to be asked about again.

ALTER TABLE approval ADD COLUMN code TEXT;
ALTER TABLE approval ADD COLUMN payload TEXT;
ALTER TABLE approval ADD COLUMN remind_s REAL;
ALTER TABLE approval ADD COLUMN next_remind_at TEXT;
ALTER TABLE approval ADD COLUMN reminded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX approval_open ON approval (plan_id, task_id) WHERE status = 'open';
