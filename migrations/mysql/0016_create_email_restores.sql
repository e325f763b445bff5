-- Links by which the owner of a former address takes the account back. One goes there with each mail about a change of
-- address, so somebody can have several; unlike those of mail_tokens, they outlast a new password and a new address.
CREATE TABLE email_restores (
    -- In the order in which the account had the addresses: using a link ends those with a higher id.
    id         BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id    BIGINT        NOT NULL,
    digest     VARBINARY(32) NOT NULL,
    -- The address that the link went to and brings back.
    email      VARCHAR(255)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    expires_at DATETIME(6)   NOT NULL,
    UNIQUE KEY index_email_restores_on_digest (digest),
    KEY index_email_restores_on_user_id (user_id),
    -- Finds the ones that expired.
    KEY index_email_restores_on_expires_at (expires_at),
    CONSTRAINT fk_email_restores_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
