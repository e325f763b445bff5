-- Forms that were posted within the last day: a second request with the same key and the same content changes nothing. Only a
-- digest over the author, the key of the form and what it says is kept. No foreign key: checking one would lock the author's
-- row before the post does, and two posts at once could then wait for each other. What a deleted person leaves is gone in a day.
CREATE TABLE idempotency_keys (
    id         BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    digest     BINARY(32)  NOT NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY index_idempotency_keys_on_digest (digest),
    KEY index_idempotency_keys_on_created_at (created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
