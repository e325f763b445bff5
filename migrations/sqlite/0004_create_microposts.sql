CREATE TABLE microposts (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL,
    content    TEXT NOT NULL,
    -- Key of the picture in the image store; random, says nothing of its author or file name.
    picture    TEXT NULL,
    created_at TEXT NOT NULL,
    CONSTRAINT fk_microposts_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- Covers "the newest of these people": profiles and feeds pick their ids from the index alone.
CREATE INDEX index_microposts_on_user_id_and_created_at ON microposts (user_id, created_at, id);
