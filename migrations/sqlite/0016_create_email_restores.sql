-- Links by which the owner of a former address takes the account back. One goes there with each mail about a change of
-- address, so somebody can have several; unlike those of mail_tokens, they outlast a new password and a new address.
CREATE TABLE email_restores (
    -- In the order in which the account had the addresses: using a link ends those with a higher id.
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    -- The address that the link went to and brings back.
    email      TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    CONSTRAINT fk_email_restores_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX index_email_restores_on_digest ON email_restores (digest);
CREATE INDEX index_email_restores_on_user_id ON email_restores (user_id);
-- Finds the ones that expired.
CREATE INDEX index_email_restores_on_expires_at ON email_restores (expires_at);
