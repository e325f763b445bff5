//! Mail: the messages, the outbox that stores them until delivery, the worker that delivers them, and the bounce and
//! complaint events that SES reports back.

pub mod mailer;
pub mod messages;
pub mod outbox;
pub mod request;
pub mod request_worker;
pub mod ses_events;
pub mod sns;
pub mod suppression;
pub mod worker;
