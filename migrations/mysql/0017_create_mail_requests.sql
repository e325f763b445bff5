-- Mails that somebody asked for by an address alone: a password reset, another activation link. A worker looks the address
-- up, so that the request does the same work whether or not it has an account.
CREATE TABLE mail_requests (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- As in mail_tokens: password_resets or account_activations.
    purpose    VARCHAR(20)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    email      VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at DATETIME(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
