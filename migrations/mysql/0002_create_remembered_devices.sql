-- One row a device that ticked "Remember me". The cookie holds the selector and a secret; here is only its SHA-256.
CREATE TABLE remembered_devices (
    id              BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id         BIGINT        NOT NULL,
    selector        VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    digest          VARBINARY(32) NOT NULL,
    -- The secret before the last rotation: requests that were under way with it are not taken for a thief's.
    previous_digest VARBINARY(32) NULL,
    rotated_at      DATETIME(6)   NOT NULL,
    expires_at      DATETIME(6)   NOT NULL,
    UNIQUE KEY index_remembered_devices_on_selector (selector),
    KEY index_remembered_devices_on_user_id (user_id),
    CONSTRAINT fk_remembered_devices_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
