-- Links that were sent by mail: activation, password reset, change of address. Only the SHA-256 of a token is kept.
CREATE TABLE mail_tokens (
    id         BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id    BIGINT        NOT NULL,
    purpose    VARCHAR(20)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    digest     VARBINARY(32) NOT NULL,
    -- The address that the link went to; for a change of address, the new one.
    email      VARCHAR(255)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    expires_at DATETIME(6)   NOT NULL,
    UNIQUE KEY index_mail_tokens_on_digest (digest),
    -- Only the newest link of a kind is good.
    UNIQUE KEY index_mail_tokens_on_user_id_and_purpose (user_id, purpose),
    CONSTRAINT fk_mail_tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
