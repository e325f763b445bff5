//! Pauses delivery while the server accepts no mail at all.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::DeliveryError;
use crate::error::Result;
use crate::mail::outbox::wait_after;

/// If the server permanently refuses (5xx) this many recipients and accepts no mail in between, the cause is the
/// account (suspended, or the sender is not verified), not the recipients.
const MAX_REFUSALS: usize = 5;

/// Pauses the whole queue after the server refuses a session. Retrying at once with the next mail would earn a
/// longer ban.
#[derive(Default)]
pub struct MailPause {
    until: Option<DateTime<Utc>>,
    failures: u32,
    /// Recipients refused since the last accepted mail or the last pause.
    refused: BTreeSet<String>,
    /// Set after [`MAX_REFUSALS`], until a mail is accepted. Mails refused meanwhile are deferred instead of failed.
    refuses_all: bool,
}

impl MailPause {
    /// Whether mails may be sent at `now`.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Ends the pause early, because somebody requeued mails by hand.
    pub fn end(&mut self) {
        (self.until, self.failures) = (None, 0);
    }

    /// Records the outcome of an attempt, and returns the outcome for its mail: [`DeliveryError::Permanent`] may become
    /// a temporary error.
    pub fn record(
        &mut self,
        recipient: &str,
        outcome: Result<(), DeliveryError>,
        now: DateTime<Utc>,
    ) -> Result<Result<(), DeliveryError>> {
        let outcome = match outcome {
            Err(DeliveryError::Permanent(why)) => Err(self.refusal(recipient, why)),
            other => other,
        };
        match &outcome {
            Ok(()) => *self = MailPause::default(),
            Err(DeliveryError::AuthFailed(_) | DeliveryError::Transient(_)) => {
                self.failures += 1;
                self.until = Some(now + wait_after(self.failures)?);
            }
            Err(_) => {}
        }
        Ok(outcome)
    }

    fn refusal(&mut self, recipient: &str, why: String) -> DeliveryError {
        self.refused.insert(recipient.to_owned());
        if self.refused.len() >= MAX_REFUSALS {
            self.refused.clear();
            self.refuses_all = true;
            tracing::error!(error = why, "the mail server refuses all recipients: is the account suspended?");
            return DeliveryError::Transient(why);
        }
        if self.refuses_all { DeliveryError::Deferred(why) } else { DeliveryError::Permanent(why) }
    }
}
