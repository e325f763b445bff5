-- The users with the most followers are read along it (models/user.rs), and not found among everybody.
CREATE INDEX index_users_on_followers_count ON users (followers_count);
