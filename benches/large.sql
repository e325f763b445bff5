-- 100,000 people, 1,000,000 posts, 2,000,000 follows, always the same. Person 2 is followed by 50,000, person 3 wrote
-- 31,250 posts, person 1 follows 5,000, these two among them, person 4 follows 50 ordinary people. From 11 on everybody
-- follows 19 or 20 others and is followed by as many, half of them follow person 2 as well.
-- @digest is that of "password". Runs in MySQL and MariaDB, after the migrations.
SET SESSION foreign_key_checks = 0, unique_checks = 0;

CREATE TABLE numbers (n BIGINT NOT NULL PRIMARY KEY); -- 0 to 1,999,999
INSERT INTO numbers
    WITH RECURSIVE digits (d) AS (SELECT 0 UNION ALL SELECT d + 1 FROM digits WHERE d < 9)
    SELECT m.d * 1000000 + a.d * 100000 + b.d * 10000 + c.d * 1000 + e.d * 100 + f.d * 10 + g.d
    FROM digits m, digits a, digits b, digits c, digits e, digits f, digits g WHERE m.d < 2;

-- One after the other, as people write: every 32nd is by person 3, the others by anybody.
INSERT INTO microposts (id, user_id, content, picture, created_at)
    SELECT n + 1, IF(n % 32 = 0, 3, 1 + (n * 7919) % 100000),
        CONCAT('Deployed on a Friday, and again: the weekend was quiet. ', n), NULL,
        '2025-01-01' + INTERVAL n * 30 SECOND
    FROM numbers WHERE n < 1000000 ORDER BY n;

INSERT INTO relationships (follower_id, followed_id, created_at)
    SELECT 11 + n % 99990, 11 + (n + 1 + n DIV 99990 * 4999) % 99990, '2025-01-01' FROM numbers WHERE n < 1944951
    ORDER BY n;
INSERT INTO relationships (follower_id, followed_id, created_at)
    SELECT 1, IF(n < 2, n + 2, n + 11), '2025-02-01' FROM numbers WHERE n < 5000 ORDER BY n;
INSERT INTO relationships (follower_id, followed_id, created_at)
    SELECT 4, n + 11, '2025-02-01' FROM numbers WHERE n < 50 ORDER BY n;
INSERT INTO relationships (follower_id, followed_id, created_at)
    SELECT n + 50002, 2, '2025-02-01' FROM numbers WHERE n < 49999 ORDER BY n;

INSERT INTO users (id, name, email, password_digest, admin, activated_at, microposts_count, following_count,
        followers_count, created_at, updated_at)
    SELECT n + 1, CONCAT('Person ', n + 1), CONCAT('person-', n + 1, '@bench.example'), @digest, FALSE, '2025-01-01',
        COALESCE(posts, 0), COALESCE(following, 0), COALESCE(followers, 0), '2025-01-01', '2025-01-01'
    FROM numbers
    LEFT JOIN (SELECT user_id, COUNT(*) AS posts FROM microposts GROUP BY user_id) p ON p.user_id = n + 1
    LEFT JOIN (SELECT follower_id, COUNT(*) AS following FROM relationships GROUP BY follower_id) a
        ON a.follower_id = n + 1
    LEFT JOIN (SELECT followed_id, COUNT(*) AS followers FROM relationships GROUP BY followed_id) b
        ON b.followed_id = n + 1
    WHERE n < 100000 ORDER BY n;
DROP TABLE numbers;
ANALYZE TABLE users, microposts, relationships;
