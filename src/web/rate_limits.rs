//! Counts the attempts of a visitor: log-ins, mails, posts.

use super::client_address::{client_address, network};
use super::sign_in;
use super::visitor::Visitor;
use crate::error::Result;
use crate::services::limits::{LOG_IN, Limit, MAIL, MAIL_BY_SENDER};

impl Visitor {
    /// Counts an attempt of `who`.
    ///
    /// # Errors
    /// [`Error::TooMany`] when there were too many.
    pub async fn count(&self, limit: &Limit, who: &str) -> Result<()> {
        if !self.app.config.limits {
            return Ok(());
        }
        let counted = self.app.limits.count(limit, who, self.app.clock.now()).await;
        if counted.is_err() {
            sign_in::audit_limit(limit.name, self.user.as_ref().map(|user| user.id));
        }
        counted
    }

    /// Counts an attempt by where it comes from; where that is not known (a Unix socket without a trusted proxy), nothing
    /// can be counted.
    ///
    /// # Errors
    /// [`Error::TooMany`] when there were too many.
    pub async fn count_client(&self, limit: &Limit) -> Result<()> {
        let proxies = self.app.config.trusted_proxies;
        let Some(address) = client_address(&self.req, proxies) else { return Ok(()) };
        let counted = self.count(limit, &network(address)).await;
        if counted.is_err() && proxies == 0 && self.req.headers().contains_key("x-forwarded-for") {
            tracing::warn!("there is a proxy in front, so all visitors count as one: set TRUSTED_PROXIES");
        }
        counted
    }

    /// Counts an attempt to guess a password: by client first, then by account.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn count_log_in(&self, email: &str) -> Result<()> {
        self.count_client(&LOG_IN).await?;
        self.count(&LOG_IN, email).await
    }

    /// Counts a mail that this visitor causes. By sender first (client and account), so that somebody who is turned away
    /// uses up nothing of what the recipient may get.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn count_mail(&self, recipient: &str) -> Result<()> {
        self.count_client(&MAIL_BY_SENDER).await?;
        if let Some(user) = &self.user {
            self.count(&MAIL_BY_SENDER, &format!("account {}", user.id)).await?;
        }
        self.count(&MAIL, recipient).await
    }
}
