-- Everybody who signed up. utf8mb4_unicode_ci exists alike in MySQL 5.7 to 9 and MariaDB; emoji survive in names.
CREATE TABLE users (
    id               BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name             VARCHAR(50)  NOT NULL,
    -- Written lower-case, NFC and IDNA by models/email.rs, so bytes compare: one spelling, one account.
    email            VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    password_digest  VARCHAR(255) NOT NULL,
    admin            BOOLEAN      NOT NULL DEFAULT FALSE,
    activated_at     DATETIME(6)  NULL,
    -- Raised to end every session and remembered device of this person at once (models/user.rs).
    sign_in_epoch    BIGINT       NOT NULL DEFAULT 0,
    -- Counts that pages show, kept in the transaction that changes them, so that no page counts rows.
    microposts_count BIGINT       NOT NULL DEFAULT 0,
    following_count  BIGINT       NOT NULL DEFAULT 0,
    followers_count  BIGINT       NOT NULL DEFAULT 0,
    created_at       DATETIME(6)  NOT NULL,
    updated_at       DATETIME(6)  NOT NULL,
    -- The database decides who was first when two sign up with one address.
    UNIQUE KEY index_users_on_email (email),
    -- Finds the few admins, to hold them while one of them goes.
    KEY index_users_on_admin (admin)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
