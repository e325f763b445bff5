//! Rate limits: the LIMIT_ settings, their defaults, and the switch LIMITS. Their windows are in
//! services/rate_limits.rs.

use super::AppEnv;
use super::reader::Reader;
use super::values::at_least_one;

/// Attempts per window of services/rate_limits.rs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// By account and by client, in 5 minutes.
    pub log_ins: u16,
    /// By client, in an hour.
    pub sign_ups: u16,
    /// To one address, in 30 minutes.
    pub mails_to: u16,
    /// Caused by one client or account, in an hour.
    pub mails_by: u16,
    /// By author, in a minute.
    pub posts: u16,
}

impl Default for RateLimits {
    fn default() -> RateLimits {
        RateLimits { log_ins: 25, sign_ups: 10, mails_to: 5, mails_by: 20, posts: 30 }
    }
}

pub(super) fn numbers(r: &mut Reader<'_>) -> RateLimits {
    let default = RateLimits::default();
    RateLimits {
        log_ins: r.value("LIMIT_LOG_INS", at_least_one).unwrap_or(default.log_ins),
        sign_ups: r.value("LIMIT_SIGN_UPS", at_least_one).unwrap_or(default.sign_ups),
        mails_to: r.value("LIMIT_MAILS_TO", at_least_one).unwrap_or(default.mails_to),
        mails_by: r.value("LIMIT_MAILS_BY", at_least_one).unwrap_or(default.mails_by),
        posts: r.value("LIMIT_POSTS", at_least_one).unwrap_or(default.posts),
    }
}

pub(super) fn enabled(r: &mut Reader<'_>) -> bool {
    let stated = r.given("LIMITS", |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("is neither on nor off; set one of the two"),
    });
    if r.env == AppEnv::Production && stated.as_ref().is_some_and(|limits| !limits.value) {
        r.error(
            "LIMITS",
            "is off, and in production anybody could guess passwords as fast as they can; remove it",
        );
    }
    stated.is_none_or(|limits| limits.value)
}
