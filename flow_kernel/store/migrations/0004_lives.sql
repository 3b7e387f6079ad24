-- Which store this is, and which ones it was made from: a home may have had another one before, whose
-- changes lie in the same logs under the same numbers. A store that is older than this has the id ''.
CREATE TABLE life (
    store_id    TEXT NOT NULL PRIMARY KEY,
    is_own      INTEGER NOT NULL
);
INSERT INTO life (store_id, is_own)
SELECT CASE WHEN EXISTS (SELECT 1 FROM outbox) THEN '' ELSE lower(hex(randomblob(8))) END, 1;
