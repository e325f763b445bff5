//! How a new connection signs in: with the password of the settings, with one that a secret in AWS holds and a rotation
//! changes, or with a token of IAM. The only place that knows which.
//!
//! Nobody who wants a connection waits for AWS here. While the account is refused, `connect` fails at once, and a task
//! renews the account and tries it out; pool.rs waits for that, or for a connection that is open already.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{ConnectOptions, Connection};

use crate::aws::{rds_token, secrets};
use crate::config::{MySql, Secret, Variables};
use crate::error::{Error, Result, Source as Cause};

/// Tokens are renewed at this age, well before they expire at 15 minutes.
const TOKEN_RENEWAL_AGE: Duration = Duration::from_secs(10 * 60);
/// Minimum time between two reads of a secret, and between two tokens.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// Minimum time between two renewals. One between two reads tries the same passwords again: in a rotation, the database
/// may refuse the new one for a while.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// Time-out for a renewal, longer than that of reading secrets.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(12);

pub(super) struct SignIn {
    source: Source,
    state: Mutex<State>,
    /// Locked during a renewal, so that one does it for all.
    renewal: Arc<tokio::sync::Mutex<Renewal>>,
}

enum Source {
    Settings,
    /// The variables that lead to the secret.
    Secret(Variables),
    Token {
        database: Box<MySql>,
        region: String,
    },
}

struct State {
    account: Arc<Account>,
    /// Why there is no use in trying this account.
    refusal: Option<Refusal>,
}

/// What a connection signs in with.
struct Account {
    options: MySqlConnectOptions,
    user: String,
    password: Secret,
    made_at: Instant,
}

#[derive(Default)]
struct Renewal {
    begun_at: Option<Instant>,
    read_at: Option<Instant>,
    /// What the last read found, in the order in which it is tried.
    accounts: Vec<Arc<Account>>,
}

/// Why nobody can sign in at the moment, though that may pass.
#[derive(Clone, Debug)]
pub(super) struct Refusal(Arc<dyn std::error::Error + Send + Sync>);

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
        let by_token = matches!(source, Source::Token { .. });
        // The configuration refuses tokens without verified TLS.
        let options = options.enable_cleartext_plugin(by_token);
        let account = Account::new(options, database.user.clone(), database.password.clone());
        let account = Arc::new(account);
        let accounts = if by_token { Vec::new() } else { vec![account.clone()] };
        let refusal = by_token.then(|| Refusal::new("there is no token of IAM yet"));
        Arc::new(SignIn {
            source,
            state: Mutex::new(State { account, refusal }),
            renewal: Arc::new(tokio::sync::Mutex::new(Renewal { accounts, ..Renewal::default() })),
        })
    }

    /// Opens a connection. Fails with a [`Refusal`] if the account is refused and can be renewed, which then begins.
    pub(super) async fn connect(self: &Arc<Self>) -> sqlx::Result<MySqlConnection> {
        let (account, refusal) = {
            let state = lock(&self.state);
            (state.account.clone(), state.refusal.clone())
        };
        if refusal.is_some() || self.is_due(&account) {
            self.renew();
        }
        if let Some(refusal) = refusal {
            return Err(refusal.into());
        }
        match account.options.connect().await {
            Err(error) if self.is_renewable() && is_access_denied(&error) => {
                let refusal = Refusal::new(error);
                let mut state = lock(&self.state);
                // Not if it was renewed in the meantime.
                if Arc::ptr_eq(&state.account, &account) && state.refusal.is_none() {
                    tracing::warn!(error = %refusal, "the database refuses the sign-in");
                    state.refusal = Some(refusal.clone());
                }
                drop(state);
                self.renew();
                Err(refusal.into())
            }
            done => done,
        }
    }

    /// Whether a sign-in is refused, which open connections do not show.
    pub(super) async fn is_refused(self: &Arc<Self>) -> bool {
        if !self.is_renewable() {
            return false;
        }
        match self.connect().await {
            Ok(conn) => {
                let _ = conn.close().await;
                false
            }
            Err(error) => Refusal::of(&error).is_some(),
        }
    }

    /// Whether what it signs in with changes by itself.
    fn is_renewable(&self) -> bool {
        !matches!(self.source, Source::Settings)
    }

    /// Why nobody can sign in at the moment.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        if self.is_renewable() { lock(&self.state).refusal.clone() } else { None }
    }

    fn is_due(&self, account: &Account) -> bool {
        matches!(self.source, Source::Token { .. }) && account.made_at.elapsed() >= TOKEN_RENEWAL_AGE
    }

    /// Begins a renewal, unless one is in progress or began a moment ago.
    fn renew(self: &Arc<Self>) {
        let Ok(mut renewal) = self.renewal.clone().try_lock_owned() else { return };
        if is_within(RENEWAL_INTERVAL, renewal.begun_at) {
            return;
        }
        renewal.begun_at = Some(Instant::now());
        let sign_in = self.clone();
        tokio::spawn(async move {
            let found = tokio::time::timeout(RENEWAL_TIMEOUT, sign_in.find_account(&mut renewal)).await;
            let found = found.unwrap_or_else(|_| Err(Refusal::new("the password was not renewed in time")));
            let mut state = lock(&sign_in.state);
            match found {
                Ok(account) => *state = State { account, refusal: None },
                // A token that is only due goes on serving.
                Err(refusal) if state.refusal.is_some() => state.refusal = Some(refusal),
                Err(_) => {}
            }
        });
    }

    /// A new token, or the first account that the database takes, of those that the source has now.
    async fn find_account(&self, renewal: &mut Renewal) -> Result<Arc<Account>, Refusal> {
        let mut refusal = self.refusal().unwrap_or_else(|| Refusal::new("nothing can be renewed"));
        if !is_within(READ_INTERVAL, renewal.read_at) {
            renewal.read_at = Some(Instant::now());
            match self.read_accounts().await {
                Ok(accounts) => {
                    renewal.accounts = accounts;
                    // A new token is as good as any: trying it first would only make everybody wait for two sign-ins.
                    if let (Source::Token { .. }, [account]) = (&self.source, &*renewal.accounts) {
                        return Ok(account.clone());
                    }
                }
                Err(error) => {
                    let error = error.text();
                    tracing::warn!(error, "password or token of the database cannot be read");
                    refusal = Refusal::new(error);
                }
            }
        }
        for account in &renewal.accounts {
            match account.options.connect().await {
                Ok(conn) => {
                    // It works; that the server is told of the end makes no difference.
                    let _ = conn.close().await;
                    tracing::info!("the database takes the renewed password or token");
                    return Ok(account.clone());
                }
                Err(error) => refusal = Refusal::new(error),
            }
        }
        Err(refusal)
    }

    /// What the source has now.
    async fn read_accounts(&self) -> Result<Vec<Arc<Account>>> {
        let old = lock(&self.state).account.clone();
        let found = match &self.source {
            Source::Settings => Vec::new(),
            Source::Token { database, region } => {
                vec![(database.user.clone(), rds_token::create(database, region).await?)]
            }
            Source::Secret(variables) => {
                // A rotation changes the password in the database first and the current version of the secret after that.
                let (current, pending) =
                    tokio::join!(account(variables, None), account(variables, Some(secrets::PENDING)));
                let mut found = vec![current?];
                found.extend(pending);
                found.dedup();
                // What was refused before comes last.
                found.sort_by_key(|(user, password)| *user == old.user && *password == old.password);
                found
            }
        };
        let account = |(user, password)| Arc::new(Account::new(old.options.clone(), user, password));
        Ok(found.into_iter().map(account).collect())
    }
}

impl Account {
    fn new(options: MySqlConnectOptions, user: String, password: Secret) -> Account {
        let options = options.username(&user).password(password.expose());
        Account { options, user, password, made_at: Instant::now() }
    }
}

async fn account(variables: &Variables, stage: Option<&str>) -> Result<(String, Secret)> {
    let read = secrets::read(variables.clone(), stage).await;
    MySql::account(&read).map_err(Error::unavailable)
}

/// Errors 1045 and 1698: wrong user, password or host.
fn is_access_denied(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| matches!(error.number(), 1045 | 1698))
}

fn is_within(interval: Duration, last: Option<Instant>) -> bool {
    last.is_some_and(|at| at.elapsed() < interval)
}

impl Refusal {
    fn new(cause: impl Into<Cause>) -> Refusal {
        Refusal(Arc::from(cause.into()))
    }

    pub(super) fn of(error: &sqlx::Error) -> Option<&Refusal> {
        match error {
            sqlx::Error::Io(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl From<Refusal> for sqlx::Error {
    fn from(refusal: Refusal) -> sqlx::Error {
        sqlx::Error::Io(io::Error::other(refusal))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
