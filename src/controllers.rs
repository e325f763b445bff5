//! What a request does, one file a resource. A handler loads, acts, answers; the page that it shows stands right above
//! it, with its template in templates/, in the folder of the same name.

pub mod account_activations;
pub mod documents;
pub mod email_changes;
pub mod email_restores;
pub mod form_addresses;
pub mod health;
pub mod inbox;
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
