-- Links that were sent by mail: activation, password reset, change of address. Only the SHA-256 of a token is kept.
CREATE TABLE mail_tokens (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL,
    purpose    TEXT NOT NULL,
    digest     BLOB NOT NULL,
    -- The address that the link went to; for a change of address, the new one.
    email      TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    CONSTRAINT fk_mail_tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX index_mail_tokens_on_digest ON mail_tokens (digest);
-- Only the newest link of a kind is good.
CREATE UNIQUE INDEX index_mail_tokens_on_user_id_and_purpose ON mail_tokens (user_id, purpose);
