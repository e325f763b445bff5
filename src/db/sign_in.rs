//! How a new connection signs in: with the password of the settings, with one that a secret in AWS holds and a rotation
//! changes, or with a token of IAM. The only place that knows which.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};

use crate::aws::{rds_token, secrets};
use crate::config::{MySql, Secret, Variables};
use crate::error::{Error, Result};

/// Tokens are renewed at this age, well before they expire.
const TOKEN_RENEWAL_AGE: Duration = Duration::from_secs(10 * 60);
/// Tokens that cannot be renewed serve until this age: they expire at 15 minutes.
const TOKEN_MAX_AGE: Duration = Duration::from_secs(14 * 60);
/// Least time between two reads of a secret, and between two attempts to renew a token.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);
/// How long a refused sign-in waits for a renewal, which goes on without it. Meanwhile it takes a place in the pool that an
/// open connection could have.
const RENEWAL_PATIENCE: Duration = Duration::from_millis(500);
/// While sign-ins are refused, one is tried this often. All others fail at once and leave the pool to the open connections.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// One account can be refused, its renewed password as well, and the one after that be right.
const MAX_ATTEMPTS: usize = 3;

pub(super) struct SignIn {
    source: Source,
    latest: Mutex<Arc<Account>>,
    /// When it was last renewed. Locked while that goes on, so that one does it for all.
    renewed_at: tokio::sync::Mutex<Option<Instant>>,
    /// When the last sign-in was refused or tried after that, unless one has succeeded since.
    refused_at: Mutex<Option<Instant>>,
}

/// In place of an attempt that the server would refuse.
#[derive(Debug, thiserror::Error)]
#[error("the database refused the sign-in a moment ago (1045)")]
struct RefusedLately;

enum Source {
    Settings,
    /// The variables that lead to the secret.
    Secret(Variables),
    Token {
        database: Box<MySql>,
        region: String,
    },
}

/// What a connection signs in with.
struct Account {
    options: MySqlConnectOptions,
    user: String,
    password: Secret,
    made_at: Instant,
}

impl SignIn {
    /// `options` have everything but user and password.
    pub(super) fn new(database: &MySql, options: MySqlConnectOptions) -> Arc<SignIn> {
        let source = match (&database.iam_region, &database.secret) {
            (Some(region), _) => {
                Source::Token { database: Box::new(database.clone()), region: region.clone() }
            }
            (None, Some(variables)) => Source::Secret(variables.clone()),
            (None, None) => Source::Settings,
        };
        // The configuration refuses tokens without verified TLS.
        let options = options.enable_cleartext_plugin(matches!(source, Source::Token { .. }));
        let account = Account::new(options, database.user.clone(), database.password.clone());
        Arc::new(SignIn {
            source,
            latest: Mutex::new(Arc::new(account)),
            renewed_at: tokio::sync::Mutex::default(),
            refused_at: Mutex::default(),
        })
    }

    /// Opens a connection. If the account is refused (1045), it is renewed and tried again.
    pub(super) async fn connect(self: &Arc<Self>) -> sqlx::Result<MySqlConnection> {
        let mut account = self.account().await?;
        if !self.may_try(&account) {
            return Err(sqlx::Error::Io(io::Error::other(RefusedLately)));
        }
        let mut attempts = 1;
        loop {
            let error = match account.options.connect().await {
                Ok(conn) => {
                    *lock(&self.refused_at) = None;
                    return Ok(conn);
                }
                Err(error) if is_refused(&error) && self.is_renewed() => error,
                Err(error) => return Err(error),
            };
            *lock(&self.refused_at) = Some(Instant::now());
            match tokio::time::timeout(RENEWAL_PATIENCE, self.renew(&account)).await {
                Ok(Ok(renewed)) if !Arc::ptr_eq(&renewed, &account) && attempts < MAX_ATTEMPTS => {
                    account = renewed;
                    attempts += 1;
                }
                // A failed renewal is in the log.
                _ => return Err(error),
            }
        }
    }

    /// Whether a refused sign-in may succeed soon, because what it signs in with changes by itself.
    pub(super) fn is_renewed(&self) -> bool {
        !matches!(self.source, Source::Settings)
    }

    /// Whether a connection can be replaced. During a rotation both passwords may be refused for a minute, and then the
    /// connections that are open are all there is.
    pub(super) async fn is_open(self: &Arc<Self>) -> bool {
        let has_succeeded = lock(&self.refused_at).is_none();
        has_succeeded || self.connect().await.is_ok()
    }

    /// Whether this account was not refused within the interval. The attempt that follows begins the next one.
    fn may_try(&self, account: &Account) -> bool {
        let mut refused_at = lock(&self.refused_at);
        let is_too_soon = refused_at.is_some_and(|at| at > account.made_at && at.elapsed() < PROBE_INTERVAL);
        if refused_at.is_some() && !is_too_soon {
            *refused_at = Some(Instant::now());
        }
        !is_too_soon
    }

    /// The account for the next connection; with tokens, one that is still valid.
    async fn account(self: &Arc<Self>) -> sqlx::Result<Arc<Account>> {
        let account = lock(&self.latest).clone();
        if !matches!(self.source, Source::Token { .. }) || account.is_younger_than(TOKEN_RENEWAL_AGE) {
            return Ok(account);
        }
        match self.renew(&account).await {
            Ok(renewed) if renewed.is_younger_than(TOKEN_MAX_AGE) => Ok(renewed),
            Ok(_) => {
                Err(unavailable("there is no token of IAM yet; the next attempt follows within seconds"))
            }
            Err(_) if account.is_younger_than(TOKEN_MAX_AGE) => Ok(account),
            Err(error) => Err(unavailable(&error.text())),
        }
    }

    /// Another account than this one, if there is any by now. It goes on when the caller gives up, so that a slow answer
    /// of AWS still serves the next caller.
    async fn renew(self: &Arc<Self>, old: &Arc<Account>) -> Result<Arc<Account>> {
        let (sign_in, old) = (self.clone(), old.clone());
        let renewal = tokio::spawn(async move { sign_in.renew_alone(&old).await });
        renewal.await.map_err(Error::internal).flatten()
    }

    async fn renew_alone(&self, old: &Arc<Account>) -> Result<Arc<Account>> {
        let mut renewed_at = self.renewed_at.lock().await;
        let latest = lock(&self.latest).clone();
        let is_too_soon = renewed_at.is_some_and(|at| at.elapsed() < RENEWAL_INTERVAL);
        if !Arc::ptr_eq(&latest, old) || is_too_soon {
            return Ok(latest);
        }
        *renewed_at = Some(Instant::now());
        match self.read_again(&latest).await {
            Ok(Some(account)) => {
                let account = Arc::new(account);
                *lock(&self.latest) = account.clone();
                Ok(account)
            }
            Ok(None) => Ok(latest),
            Err(error) => {
                tracing::warn!(%error, "password or token of the database cannot be renewed");
                Err(error)
            }
        }
    }

    /// The account that differs from `old`, if there is one.
    async fn read_again(&self, old: &Account) -> Result<Option<Account>> {
        let variables = match &self.source {
            Source::Settings => return Ok(None),
            Source::Token { database, region } => {
                let token = rds_token::create(database, region).await?;
                return Ok(Some(old.with(database.user.clone(), token)));
            }
            Source::Secret(variables) => variables,
        };
        // A rotation changes the password in the database first and the current version of the secret after that.
        let (current, pending) =
            tokio::join!(account(variables, None), account(variables, Some(secrets::PENDING)));
        let differs = |(user, password): &(String, Secret)| *user != old.user || *password != old.password;
        let found = Some(current?).filter(differs).or_else(|| pending.ok().filter(differs));
        if found.is_some() {
            tracing::info!("the secret of the database holds another password now");
        }
        Ok(found.map(|(user, password)| old.with(user, password)))
    }
}

impl Account {
    fn new(options: MySqlConnectOptions, user: String, password: Secret) -> Account {
        let options = options.username(&user).password(password.expose());
        Account { options, user, password, made_at: Instant::now() }
    }

    fn with(&self, user: String, password: Secret) -> Account {
        Account::new(self.options.clone(), user, password)
    }

    /// For tokens; before the first one, the password is empty.
    fn is_younger_than(&self, age: Duration) -> bool {
        !self.password.expose().is_empty() && self.made_at.elapsed() < age
    }
}

async fn account(variables: &Variables, stage: Option<&str>) -> Result<(String, Secret)> {
    let read = secrets::read(variables.clone(), stage).await;
    MySql::account(&read).map_err(Error::unavailable)
}

fn unavailable(what: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::other(what.to_owned()))
}

/// Error 1045: wrong user, password or host.
pub(super) fn is_refused(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(error) = error {
        return error.get_ref().is_some_and(|error| error.is::<RefusedLately>());
    }
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| error.number() == 1045)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
