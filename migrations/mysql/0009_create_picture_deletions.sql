-- Pictures that have to go from the store. A row is written in the transaction that takes a picture's post away; and, due in
-- a day, before a picture is stored, to be called off by the transaction that writes its post.
CREATE TABLE picture_deletions (
    id              BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    picture         VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts        BIGINT       NOT NULL DEFAULT 0,
    -- Also the lease: a worker that takes a row moves this ahead, and only one worker's move succeeds.
    next_attempt_at DATETIME(6)  NOT NULL,
    created_at      DATETIME(6)  NOT NULL,
    KEY index_picture_deletions_on_next_attempt_at (next_attempt_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
