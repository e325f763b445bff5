-- Set when somebody is deleted: nobody sees them from then on, and a job removes the rest. The version before does not know
-- this column; for it activated_at is cleared, too.
ALTER TABLE users ADD COLUMN deleted_at TEXT NULL;

-- Work for later that is more than one mail or one picture (models/job.rs).
CREATE TABLE jobs (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind            TEXT NOT NULL,
    -- Whom it is about; 0 when it is about nobody.
    subject_id      INTEGER NOT NULL DEFAULT 0,
    -- How far it has come, for jobs that walk through a table.
    position        INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    -- Also the lease: a worker that takes a row moves this ahead, and only one worker's move succeeds.
    next_attempt_at TEXT NOT NULL,
    created_at      TEXT NOT NULL
);

CREATE UNIQUE INDEX index_jobs_on_kind_and_subject_id ON jobs (kind, subject_id);
CREATE INDEX index_jobs_on_next_attempt_at ON jobs (next_attempt_at);

-- Comes again every day (models/cleanup.rs).
INSERT INTO jobs (kind, next_attempt_at, created_at) VALUES ('cleanup', strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+1 hour'), strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'));
-- Once, when the version before is gone (models/timeline_repair.rs).
INSERT INTO jobs (kind, next_attempt_at, created_at) VALUES ('timeline_repair', strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+1 hour'), strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'));
