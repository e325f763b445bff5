-- Who follows whom.
CREATE TABLE relationships (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    follower_id INTEGER NOT NULL,
    followed_id INTEGER NOT NULL,
    created_at  TEXT NOT NULL,
    CONSTRAINT fk_relationships_follower FOREIGN KEY (follower_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_relationships_followed FOREIGN KEY (followed_id) REFERENCES users (id) ON DELETE CASCADE
);

-- A follow is there once, however many clicks arrive at the same time.
CREATE UNIQUE INDEX index_relationships_on_follower_id_and_followed_id ON relationships (follower_id, followed_id);
CREATE INDEX index_relationships_on_follower_id ON relationships (follower_id, id);
CREATE INDEX index_relationships_on_followed_id ON relationships (followed_id, id);
