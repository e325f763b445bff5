CREATE TABLE microposts (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id    BIGINT       NOT NULL,
    content    VARCHAR(140) NOT NULL,
    -- Key of the picture in the image store; random, says nothing of its author or file name.
    picture    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NULL,
    created_at DATETIME(6)  NOT NULL,
    -- Covers "the newest of these people": profiles and feeds pick their ids from the index alone.
    KEY index_microposts_on_user_id_and_created_at (user_id, created_at, id),
    CONSTRAINT fk_microposts_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
