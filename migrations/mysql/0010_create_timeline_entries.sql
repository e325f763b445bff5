-- Everybody's feed, written when something is posted: one row a reader and post, one's own posts included.
CREATE TABLE timeline_entries (
    -- Whose feed. No foreign key: checking it would lock the rows of all readers at every post. User::delete clears it.
    user_id      BIGINT      NOT NULL,
    -- As in microposts.
    created_at   DATETIME(6) NOT NULL,
    micropost_id BIGINT      NOT NULL,
    -- Who wrote it: an unfollow takes their posts out again.
    author_id    BIGINT      NOT NULL,
    -- A feed is a range of this, newest last.
    PRIMARY KEY (user_id, created_at, micropost_id),
    KEY index_timeline_entries_on_micropost_id (micropost_id),
    CONSTRAINT fk_timeline_entries_micropost FOREIGN KEY (micropost_id) REFERENCES microposts (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- Set for good with the follower that is one too many (models/timeline.rs): from then on the posts of this person go into
-- nobody else's feed, their followers read them through.
ALTER TABLE users ADD COLUMN read_through BOOLEAN NOT NULL DEFAULT FALSE;
-- Whether this person ever followed such a one; nobody else's feed has to look.
ALTER TABLE users ADD COLUMN follows_read_through BOOLEAN NOT NULL DEFAULT FALSE;
-- Finds those few.
CREATE INDEX index_users_on_read_through ON users (read_through);

-- What is there already.
UPDATE users SET read_through = TRUE WHERE followers_count > 1000;
UPDATE users SET follows_read_through = TRUE WHERE id IN (
    SELECT follower_id FROM relationships WHERE followed_id IN (
        -- Not by users.read_through: MySQL reads no table that it is just changing.
        SELECT followed_id FROM relationships GROUP BY followed_id HAVING COUNT(*) > 1000
    )
);
INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id)
    SELECT relationships.follower_id, microposts.created_at, microposts.id, microposts.user_id
    FROM users
    JOIN relationships ON relationships.followed_id = users.id
    JOIN microposts ON microposts.user_id = users.id
    WHERE users.read_through = FALSE;
INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id)
    SELECT user_id, created_at, id, user_id FROM microposts;
