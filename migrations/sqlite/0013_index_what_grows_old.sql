-- What the clean-up looks for (models/cleanup.rs).
CREATE INDEX index_remembered_devices_on_expires_at ON remembered_devices (expires_at);
CREATE INDEX index_mail_tokens_on_expires_at ON mail_tokens (expires_at);
CREATE INDEX index_users_on_activated_at_and_updated_at ON users (activated_at, updated_at);
