//! When no mail is sent for a while, because the server takes none.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::DeliveryError;
use crate::error::Result;
use crate::mail::outbox::wait_after;

/// So many recipients refused for good (5xx), with none accepted in between, speak against the account (suspended, or its
/// sender not verified) rather than against each of them.
const MAX_REFUSALS: usize = 5;

/// Pauses the whole queue after a refusal of the session: knocking with one mail after the other would earn a longer ban.
#[derive(Default)]
pub struct MailPause {
    until: Option<DateTime<Utc>>,
    failures: u32,
    /// Recipients refused since the last mail that was accepted, or the last pause.
    refused: BTreeSet<String>,
    /// Set by [`MAX_REFUSALS`], until a mail is accepted: what is refused meanwhile waits, and is not given up.
    refuses_all: bool,
}

impl MailPause {
    /// Whether mails may be sent.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Ends the pause: somebody says that the server takes mails again.
    pub fn end(&mut self) {
        (self.until, self.failures) = (None, 0);
    }

    /// Takes an attempt into account; gives what it means for its mail.
    pub fn judge(
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
            tracing::error!(error = why, "the mail server refuses everybody: is the account suspended?");
            return DeliveryError::Transient(why);
        }
        if self.refuses_all { DeliveryError::Deferred(why) } else { DeliveryError::Permanent(why) }
    }
}
