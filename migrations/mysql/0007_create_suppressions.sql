-- Addresses that get no mail any more, because mail to them bounced for good or somebody there complained of it.
CREATE TABLE suppressions (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email      VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    reason     VARCHAR(100) NOT NULL,
    -- When the bounce or complaint was told.
    created_at DATETIME(6)  NOT NULL,
    -- Set when an admin lifted it. The row stays: what was told before counts no more, however often it is told again.
    lifted_at  DATETIME(6)  NULL,
    UNIQUE KEY index_suppressions_on_email (email),
    KEY index_suppressions_on_lifted_at_and_created_at (lifted_at, created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
