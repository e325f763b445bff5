-- Forms that were posted within the last day: a second request with the same key and the same content changes nothing. Only a
-- digest over the author, the key of the form and what it says is kept. No foreign key: checking one would lock the author's
-- row before the post does, and two posts at once could then wait for each other. What a deleted person leaves is gone in a day.
CREATE TABLE idempotency_keys (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    digest     BLOB NOT NULL,
    created_at TEXT NOT NULL
);

CREATE UNIQUE INDEX index_idempotency_keys_on_digest ON idempotency_keys (digest);

CREATE INDEX index_idempotency_keys_on_created_at ON idempotency_keys (created_at);
