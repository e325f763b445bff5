//! Rate limits per visitor: log-ins, mails, posts.

use super::client_address::{client_address, network};
use super::sign_in;
use super::visitor::Visitor;
use crate::error::Result;
use crate::services::rate_limits::{LOG_IN, Limit, MAIL, MAIL_BY_SENDER};

impl Visitor {
    /// Counts an attempt by `subject`, a client network, an account or an email address.
    ///
    /// # Errors
    /// [`Error::TooMany`](crate::error::Error::TooMany) if the limit is exceeded.
    pub async fn count(&self, limit: &Limit, subject: &str) -> Result<()> {
        if !self.app.config.rate_limits_enabled {
            return Ok(());
        }
        let counted = self.app.limits.count(limit, subject, self.app.clock.now()).await;
        if counted.is_err() {
            sign_in::audit_limit(limit.name, self.user.as_ref().map(|user| user.id));
        }
        counted
    }

    /// Counts an attempt by the client's network. Does nothing if the address is unknown (a Unix socket without a
    /// trusted proxy).
    ///
    /// # Errors
    /// [`Error::TooMany`](crate::error::Error::TooMany) if the limit is exceeded.
    pub async fn count_client(&self, limit: &Limit) -> Result<()> {
        let proxies = self.app.config.trusted_proxies;
        let Some(address) = client_address(&self.req, proxies) else { return Ok(()) };
        let counted = self.count(limit, &network(address)).await;
        if counted.is_err() && proxies == 0 && self.req.headers().contains_key("x-forwarded-for") {
            tracing::warn!("rate limits see the proxy as the only visitor: set TRUSTED_PROXIES");
        }
        counted
    }

    /// Counts a password attempt, by client first and then by account.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn count_log_in(&self, email: &str) -> Result<()> {
        self.count_client(&LOG_IN).await?;
        self.count(&LOG_IN, email).await
    }

    /// Counts a mail that this visitor causes. The sender's limits (client and account) come first, so that a refused
    /// sender does not use up the recipient's limit.
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
