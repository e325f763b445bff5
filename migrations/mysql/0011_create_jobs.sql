-- Set when somebody is deleted: nobody sees them from then on, and a job removes the rest. The version before does not know
-- this column; for it activated_at is cleared, too.
ALTER TABLE users ADD COLUMN deleted_at DATETIME(6) NULL;

-- Work for later that is more than one mail or one picture (models/job.rs).
CREATE TABLE jobs (
    id              BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind            VARCHAR(30)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- Whom it is about; 0 when it is about nobody.
    subject_id      BIGINT       NOT NULL DEFAULT 0,
    -- How far it has come, for jobs that walk through a table.
    position        BIGINT       NOT NULL DEFAULT 0,
    attempts        BIGINT       NOT NULL DEFAULT 0,
    -- Also the lease: a worker that takes a row moves this ahead, and only one worker's move succeeds.
    next_attempt_at DATETIME(6)  NOT NULL,
    created_at      DATETIME(6)  NOT NULL,
    UNIQUE KEY index_jobs_on_kind_and_subject_id (kind, subject_id),
    KEY index_jobs_on_next_attempt_at (next_attempt_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- Comes again every day (models/cleanup.rs).
INSERT INTO jobs (kind, next_attempt_at, created_at) VALUES ('cleanup', UTC_TIMESTAMP(6) + INTERVAL 1 HOUR, UTC_TIMESTAMP(6));
-- Once, when the version before is gone (models/timeline_repair.rs).
INSERT INTO jobs (kind, next_attempt_at, created_at) VALUES ('timeline_repair', UTC_TIMESTAMP(6) + INTERVAL 1 HOUR, UTC_TIMESTAMP(6));
