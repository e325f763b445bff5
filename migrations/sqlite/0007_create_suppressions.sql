-- Addresses that get no mail any more, because mail to them bounced for good or somebody there complained of it.
CREATE TABLE suppressions (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    email      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    -- When the bounce or complaint was told.
    created_at TEXT NOT NULL,
    -- Set when an admin lifted it. The row stays: what was told before counts no more, however often it is told again.
    lifted_at  TEXT NULL
);

CREATE UNIQUE INDEX index_suppressions_on_email ON suppressions (email);
CREATE INDEX index_suppressions_on_lifted_at_and_created_at ON suppressions (lifted_at, created_at);
