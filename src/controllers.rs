//! Request handlers, one file per resource. A handler loads, acts and answers. The struct of a page is right above its
//! handler; the template is in templates/, in the folder of the same name.

pub mod account_activations;
pub mod documents;
pub mod email_changes;
pub mod email_restores;
pub mod form_addresses;
pub mod health;
pub mod inbox;
mod mail_request_form;
pub mod metrics;
pub mod microposts;
pub mod most_followed;
pub mod other_sessions;
pub mod outbox;
pub mod password_resets;
pub mod pictures;
pub mod relationships;
pub mod ses_notifications;
pub mod sessions;
pub mod stack;
pub mod static_files;
pub mod static_pages;
pub mod suppressions;
pub mod users;
