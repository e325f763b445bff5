-- Mails that somebody asked for by an address alone: a password reset, another activation link. A worker looks the address
-- up, so that the request does the same work whether or not it has an account.
CREATE TABLE mail_requests (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- As in mail_tokens: password_resets or account_activations.
    purpose    TEXT NOT NULL,
    email      TEXT NOT NULL,
    created_at TEXT NOT NULL
);
