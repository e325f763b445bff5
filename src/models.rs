//! One file a table: its rows, its queries, its rules. Models know nothing of HTTP.

pub mod cleanup;
pub mod email;
pub mod email_restore;
pub mod feedback;
pub mod idempotency_key;
pub mod job;
pub mod mail_request;
pub mod mail_token;
pub mod micropost;
pub mod name;
pub mod outbox;
pub mod page;
pub mod password;
pub mod person;
pub mod picture;
pub mod picture_deletion;
pub mod relationship;
pub mod remembered_device;
pub mod secret;
pub mod suppression;
pub mod timeline;
pub mod timeline_repair;
pub mod user;
pub mod user_deletion;
pub mod validation;
