-- Finds the posts of one author in one feed: an unfollow reads and locks only what it removes.
CREATE INDEX index_timeline_entries_on_user_id_and_author_id ON timeline_entries (user_id, author_id);
