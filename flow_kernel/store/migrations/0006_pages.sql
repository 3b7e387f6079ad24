-- Lists are read page by page, the newest first, each from where the last one ended. Ids are counted
-- and have no fixed width, so their order is that of their numbers.

CREATE INDEX task_newest ON task (created_at, plan_id, task_id);
-- The plans are counted without a look at their tasks.
CREATE INDEX task_of_plan ON task (plan_id, status);
CREATE INDEX approval_newest ON approval (CAST(SUBSTR(approval_id, 3) AS INTEGER));
CREATE INDEX approval_open_newest ON approval (CAST(SUBSTR(approval_id, 3) AS INTEGER))
    WHERE status = 'open';
CREATE INDEX approval_of_task ON approval (plan_id, task_id);
CREATE INDEX run_newest ON run (CAST(SUBSTR(run_id, 3) AS INTEGER));
