//! Mail, from what it says to what became of it: messages, the outbox that keeps them until they leave, the worker that
//! delivers, and what SES reports back.

pub mod mailer;
pub mod messages;
pub mod outbox;
pub mod request;
pub mod request_worker;
pub mod ses_events;
pub mod sns;
pub mod suppression;
pub mod worker;
