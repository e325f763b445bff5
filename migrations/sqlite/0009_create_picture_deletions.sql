-- Pictures that have to go from the store. A row is written in the transaction that takes a picture's post away; and, due in
-- a day, before a picture is stored, to be called off by the transaction that writes its post.
CREATE TABLE picture_deletions (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    picture         TEXT NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    -- Also the lease: a worker that takes a row moves this ahead, and only one worker's move succeeds.
    next_attempt_at TEXT NOT NULL,
    created_at      TEXT NOT NULL
);

CREATE INDEX index_picture_deletions_on_next_attempt_at ON picture_deletions (next_attempt_at);
