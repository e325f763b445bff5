-- One row a device that ticked "Remember me". The cookie holds the selector and a secret; here is only its SHA-256.
CREATE TABLE remembered_devices (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id         INTEGER NOT NULL,
    selector        TEXT NOT NULL,
    digest          BLOB NOT NULL,
    -- The secret before the last rotation: requests that were under way with it are not taken for a thief's.
    previous_digest BLOB NULL,
    rotated_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    CONSTRAINT fk_remembered_devices_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX index_remembered_devices_on_selector ON remembered_devices (selector);
CREATE INDEX index_remembered_devices_on_user_id ON remembered_devices (user_id);
