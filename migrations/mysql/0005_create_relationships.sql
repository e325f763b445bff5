-- Who follows whom.
CREATE TABLE relationships (
    id          BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    follower_id BIGINT      NOT NULL,
    followed_id BIGINT      NOT NULL,
    created_at  DATETIME(6) NOT NULL,
    -- A follow is there once, however many clicks arrive at the same time.
    UNIQUE KEY index_relationships_on_follower_id_and_followed_id (follower_id, followed_id),
    KEY index_relationships_on_follower_id (follower_id, id),
    KEY index_relationships_on_followed_id (followed_id, id),
    CONSTRAINT fk_relationships_follower FOREIGN KEY (follower_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_relationships_followed FOREIGN KEY (followed_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
