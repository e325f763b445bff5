"""The data of both scales. The large data is created once and kept in target/bench until its sources change."""

import hashlib
import shutil
import time

from machine import KEPT, ROOT, Failed

# The bare server's own table, a copy of microposts.
BARE = """
CREATE TABLE bare_microposts LIKE microposts;
ALTER TABLE bare_microposts ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
"""
EXPECTED = {"users": 100_000, "microposts": 1_000_000, "relationships": 2_000_000}


def small(machine):
    """Creates the small data with `sample-app seed`. The servers must be running."""
    machine.sql("", "CREATE DATABASE small")
    machine.sample_app("small", "migrate")
    machine.sample_app("small", "seed", "--force")
    machine.sql("small", BARE)


def large_data(machine):
    """Returns the database's data directory with the large data, and creates it if necessary."""
    sources = sorted((ROOT / "migrations/mysql").iterdir()) + sorted((ROOT / "benches").glob("large*.sql"))
    sources.append(ROOT / "benches/seeds.py")
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    kept = KEPT / f"large-{machine.database}-{key}"
    if not kept.exists():
        began = time.monotonic()
        print("making the large data, once ..", flush=True)
        machine.start_services()
        try:
            fill_large(machine)
        finally:
            machine.stop_services()
        for old in KEPT.glob(f"large-{machine.database}-*"):
            shutil.rmtree(old)
        half = KEPT / "half"
        shutil.rmtree(half, ignore_errors=True)
        own = shutil.ignore_patterns("auto.cnf", "init.sql")  # the server's identity, and its password
        shutil.copytree(machine.services / machine.database, half, ignore=own)
        half.rename(kept)
        print(f"made in {time.monotonic() - began:.0f} s, kept in {kept.relative_to(ROOT)}", flush=True)
    return kept


# 20 million rows: inserted in primary key order, 500 readers at a time, and the other index is built afterwards.
TIMELINES_OF = """
INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id)
    SELECT * FROM (
        SELECT r.follower_id AS user_id, m.created_at, m.id AS micropost_id, m.user_id AS author_id
        FROM relationships r
        STRAIGHT_JOIN users author ON author.id = r.followed_id AND author.read_through = FALSE
        STRAIGHT_JOIN microposts m ON m.user_id = author.id
        WHERE r.follower_id BETWEEN {first} AND {last}
        UNION ALL
        SELECT user_id, created_at, id, user_id FROM microposts WHERE user_id BETWEEN {first} AND {last}
    ) entries ORDER BY user_id, created_at, micropost_id;
"""
BEFORE_TIMELINES = """
SET SESSION foreign_key_checks = 0, unique_checks = 0;
UPDATE users SET read_through = TRUE WHERE followers_count > 1000;
CREATE TEMPORARY TABLE followers AS SELECT DISTINCT follower_id FROM relationships
    WHERE followed_id IN (SELECT id FROM users WHERE read_through = TRUE);
UPDATE users JOIN followers ON users.id = followers.follower_id SET follows_read_through = TRUE;
ALTER TABLE timeline_entries DROP FOREIGN KEY fk_timeline_entries_micropost;
ALTER TABLE timeline_entries DROP INDEX index_timeline_entries_on_micropost_id;
"""
AFTER_TIMELINES = """
ALTER TABLE timeline_entries ADD INDEX index_timeline_entries_on_micropost_id (micropost_id);
ALTER TABLE timeline_entries ADD CONSTRAINT fk_timeline_entries_micropost FOREIGN KEY (micropost_id)
    REFERENCES microposts (id) ON DELETE CASCADE;
ANALYZE TABLE timeline_entries;
"""


def fill_timelines(machine):
    """Fills timeline_entries, if the schema has that table."""
    is_there = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'large' AND table_name = "
    if machine.sql("large", is_there + "'timeline_entries'") == [0]:
        return
    chunks = (TIMELINES_OF.format(first=first, last=first + 499) for first in range(1, EXPECTED["users"], 500))
    machine.sql("large", BEFORE_TIMELINES + "".join(chunks) + AFTER_TIMELINES)


def fill_large(machine):
    small(machine)
    machine.sql("", "CREATE DATABASE large")
    machine.sample_app("large", "migrate")
    digest = "SET @digest = (SELECT password_digest FROM small.users WHERE email = 'example-1@railstutorial.org');"
    machine.sql("large", digest + (ROOT / "benches/large.sql").read_text())
    machine.sql("", "DROP DATABASE small")
    for table, rows in EXPECTED.items():
        if machine.sql("large", f"SELECT COUNT(*) FROM {table}") != [rows]:
            raise Failed(f"there are not {rows} {table}")
    fill_timelines(machine)
    machine.sql("large", BARE)
