-- Everybody who signed up. The same tables as in migrations/mysql, in SQLite's words.
CREATE TABLE users (
    id               INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name             TEXT NOT NULL,
    -- Written lower-case, NFC and IDNA by models/email.rs, so bytes compare: one spelling, one account.
    email            TEXT NOT NULL,
    password_digest  TEXT NOT NULL,
    admin            BOOLEAN NOT NULL DEFAULT FALSE,
    activated_at     TEXT NULL,
    -- Raised to end every session and remembered device of this person at once (models/user.rs).
    sign_in_epoch    INTEGER NOT NULL DEFAULT 0,
    -- Counts that pages show, kept in the transaction that changes them, so that no page counts rows.
    microposts_count INTEGER NOT NULL DEFAULT 0,
    following_count  INTEGER NOT NULL DEFAULT 0,
    followers_count  INTEGER NOT NULL DEFAULT 0,
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL
);

-- The database decides who was first when two sign up with one address.
CREATE UNIQUE INDEX index_users_on_email ON users (email);
-- Finds the few admins, to hold them while one of them goes.
CREATE INDEX index_users_on_admin ON users (admin);
