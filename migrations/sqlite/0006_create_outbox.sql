-- Mails that have to leave. A row is written in the transaction that causes the mail and goes when the mail was taken.
CREATE TABLE outbox (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- Fixed from the start: a mail that leaves twice after a lost reply is recognised as one.
    message_id      TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    subject         TEXT NOT NULL,
    text_body       TEXT NOT NULL,
    html_body       TEXT NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    -- Also the lease: a worker that takes a row moves this ahead, and only one worker's move succeeds.
    next_attempt_at TEXT NOT NULL,
    -- Set when the mail was given up; last_error says why.
    parked_at       TEXT NULL,
    last_error      TEXT NULL,
    created_at      TEXT NOT NULL
);

CREATE UNIQUE INDEX index_outbox_on_message_id ON outbox (message_id);
CREATE INDEX index_outbox_on_parked_at_and_next_attempt_at ON outbox (parked_at, next_attempt_at);
