//! One file per table: rows, queries and rules. Models know nothing about HTTP.

pub mod email_restore;
pub mod idempotency_key;
pub mod mail_token;
pub mod micropost;
pub mod person;
pub mod picture;
pub mod relationship;
pub mod remembered_device;
pub mod timeline;
pub mod user;
pub mod values;
