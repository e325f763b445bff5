-- Mails that have to leave. A row is written in the transaction that causes the mail and goes when the mail was taken.
CREATE TABLE outbox (
    id              BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- Fixed from the start: a mail that leaves twice after a lost reply is recognised as one.
    message_id      VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    recipient       VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    subject         VARCHAR(255) NOT NULL,
    text_body       TEXT         NOT NULL,
    html_body       TEXT         NOT NULL,
    attempts        BIGINT       NOT NULL DEFAULT 0,
    -- Also the lease: a worker that takes a row moves this ahead, and only one worker's move succeeds.
    next_attempt_at DATETIME(6)  NOT NULL,
    -- Set when the mail was given up; last_error says why.
    parked_at       DATETIME(6)  NULL,
    last_error      VARCHAR(500) NULL,
    created_at      DATETIME(6)  NOT NULL,
    UNIQUE KEY index_outbox_on_message_id (message_id),
    KEY index_outbox_on_parked_at_and_next_attempt_at (parked_at, next_attempt_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
