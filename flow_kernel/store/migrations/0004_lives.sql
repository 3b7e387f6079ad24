-- Which store this is, and which ones it was made from: a home may have had another one before, whose
-- changes lie in the same logs under the same numbers. A store that is older than this has the id '',
-- as programs of older versions that still have it open know of no other.
CREATE TABLE life (
    store_id    TEXT NOT NULL PRIMARY KEY,
    is_own      INTEGER NOT NULL
);
INSERT INTO life (store_id, is_own)
SELECT CASE WHEN user_version > 0 THEN '' ELSE lower(hex(randomblob(8))) END, 1
FROM pragma_user_version;
