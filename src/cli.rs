//! The commands: serve (the default), migrate, seed, doctor, secret, smtp-password, assets, admin.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::aws;
use crate::clock::Clock;
use crate::config::{self, AppEnv, Config, Variables};
use crate::db::Db;
use crate::doctor;
use crate::error::{Error, Result};
use crate::models::user::User;
use crate::models::values::email::Email;
use crate::models::values::token::random_hex;
use crate::seeds;
use crate::server::{self, Running};
use crate::telemetry::logs::Logs;
use crate::views::{assets, pluralize};
use crate::web::middleware::error_pages;
use crate::web::sign_in::audit;

/// People sign up, post and follow each other: the sample application of the AWS tutorials.
#[derive(Parser)]
#[command(name = "sample-app", version, after_help = config::help())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the application (the default command)
    Serve,
    /// Apply pending database migrations (automatic in development)
    Migrate,
    /// Fill the database with 100 people who post and follow each other; their passwords are public
    Seed {
        /// Also in production
        #[arg(long)]
        force: bool,
    },
    /// Check database, sessions, pictures, mail and logs one by one, and print advice for each that fails
    Doctor,
    /// Print a new value for SECRET_KEY_BASE
    Secret,
    /// Print the SMTP password of SES that SES_SECRET_ACCESS_KEY gives, for other programs
    SmtpPassword,
    /// Write style sheets, scripts and error pages into a folder, for nginx to serve; existing files stay
    Assets {
        /// The folder; created if it does not exist
        folder: PathBuf,
    },
    /// Grant or revoke admin rights
    Admin {
        #[command(subcommand)]
        change: AdminChange,
    },
}

#[derive(Subcommand)]
enum AdminChange {
    /// Make this user an admin
    Grant {
        /// Address of an activated account
        email: String,
    },
    /// Revoke this user's admin rights; the last admin keeps them
    Revoke {
        /// Address of an admin
        email: String,
    },
}

/// Parses the command line and runs the command.
pub async fn run() -> ExitCode {
    match execute(Cli::parse().command.unwrap_or(Command::Serve)).await {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> std::result::Result<ExitCode, String> {
    // These commands need no settings.
    match &command {
        Command::Secret => {
            println!("{}", random_hex::<64>().map_err(terminal_message)?);
            return Ok(ExitCode::SUCCESS);
        }
        Command::Assets { folder } => {
            write_assets(folder).map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let settings = aws::secrets::read(Variables::from_env(), None).await;
    if let Command::SmtpPassword = command {
        let password = config::smtp_password(&settings).map_err(|errors| errors.to_string())?;
        println!("{}", password.expose());
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::read(&settings).map_err(|errors| errors.to_string())?;
    for warning in &config.warnings {
        eprintln!("Note: {warning}");
    }
    let done = match command {
        Command::Serve => serve(config).await,
        Command::Migrate => migrate(&config).await,
        Command::Seed { force } => seed(&config, force).await,
        Command::Admin { change: AdminChange::Grant { email } } => set_admin(&config, &email, true).await,
        Command::Admin { change: AdminChange::Revoke { email } } => set_admin(&config, &email, false).await,
        // The doctor has printed its findings already.
        Command::Doctor if !doctor::run(&config).await => return Ok(ExitCode::FAILURE),
        Command::Doctor | Command::Secret | Command::SmtpPassword | Command::Assets { .. } => Ok(()),
    };
    done.map(|()| ExitCode::SUCCESS).map_err(terminal_message)
}

async fn serve(config: Config) -> Result<()> {
    let app = App::new(config, Clock::default())?;
    let logs = app.logs.clone();
    logs.start()?;
    let served = serve_app(app).await;
    logs.finish().await;
    served
}

async fn serve_app(app: App) -> Result<()> {
    match prepare_schema(&app.config, &app.db).await {
        // Visitors get a 503 until the database is back; no restart is needed.
        Err(error @ Error::Unavailable(_)) if app.config.env == AppEnv::Production => {
            tracing::warn!(%error, "the database does not answer yet");
        }
        prepared => prepared?,
    }
    // Install the handlers before serving starts, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    let running = server::start(app).await?;
    print_ready(&running).await;
    let mut signalled = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    signalled().await;
    match running.app.config.env {
        AppEnv::Development => println!("Finishing requests in progress ..."),
        AppEnv::Production => tracing::info!("finishing requests in progress"),
    }
    running.stop(signalled()).await;
    Ok(())
}

/// In development, migrates. In production the deploy migrates once, and a process must not start with migrations
/// pending.
async fn prepare_schema(config: &Config, db: &Db) -> Result<()> {
    if config.env == AppEnv::Development {
        return db.migrate().await.map(|_| ());
    }
    match db.pending_migrations().await? {
        0 => Ok(()),
        pending => Err(Error::internal(format!(
            "the database lacks {}; run `sample-app migrate` first",
            pluralize(&pending, "migration")
        ))),
    }
}

/// Prints the address. Production writes only JSON lines to stdout.
async fn print_ready(running: &Running) {
    let app = &running.app;
    let (url, listening) = (app.config.app_url.origin(), running.listening());
    if app.config.env == AppEnv::Production {
        tracing::info!(url, listening, "ready");
        return;
    }
    println!("Sample App is ready: {url} (listening on {listening})");
    if app.inbox().is_some() {
        println!("Mails do not leave this machine; read them at {}", app.config.app_url.link("/inbox"));
    }
    if !seeds::has_people(&app.db).await.unwrap_or(true) {
        println!(
            "Nobody is here yet: sign up, or run `cargo run -- seed` for a hundred people who post and follow."
        );
    }
}

fn write_assets(folder: &Path) -> io::Result<()> {
    assets::write_to(folder)?;
    for (status, html) in error_pages::for_proxies().map_err(io::Error::other)? {
        assets::write(&folder.join(format!("errors/{status}.html")), html.as_bytes())?;
    }
    Ok(())
}

async fn migrate(config: &Config) -> Result<()> {
    match Db::open(&config.database)?.migrate().await? {
        0 => println!("The database is up to date."),
        applied => println!("The database is up to date; {} applied.", pluralize(&applied, "migration")),
    }
    Ok(())
}

async fn seed(config: &Config, force: bool) -> Result<()> {
    if config.env == AppEnv::Production && !force {
        return Err(Error::internal(
            "these accounts have public passwords, one of them is an admin; in production only with --force",
        ));
    }
    let db = Db::open(&config.database)?;
    prepare_schema(config, &db).await?;
    if seeds::create(&db, &Clock::default()).await? {
        println!(
            "100 people are here. Log in as {} with the password {}.",
            seeds::ADMIN_EMAIL,
            seeds::ADMIN_PASSWORD
        );
    } else {
        println!("{} is here already; nothing was changed.", seeds::ADMIN_EMAIL);
    }
    Ok(())
}

async fn set_admin(config: &Config, email: &str, admin: bool) -> Result<()> {
    // No spool: when this runs as root, it would leave files that the service cannot open.
    let logs = Logs::new(&Config { logstash_spool_mb: 0, ..config.clone() })?;
    if config.env == AppEnv::Production {
        // For the audit event; in development the printed message is enough.
        logs.start()?;
    }
    let changed = change_admin(config, email, admin).await;
    logs.finish().await;
    changed
}

async fn change_admin(config: &Config, email: &str, admin: bool) -> Result<()> {
    let parsed = Email::parse(email).map_err(|problem| Error::internal(format!("{email} {problem}")))?;
    let db = Db::open(&config.database)?;
    prepare_schema(config, &db).await?;
    let changed = db
        .transaction(async |db| {
            let found = User::find_by_email(db, &parsed).await?;
            let Some(user) = found.filter(|user| user.activated_at.is_some()) else {
                return Err(Error::internal(format!(
                    "there is no activated account with the address {email}"
                )));
            };
            Ok(User::set_admin(db, user.id, admin, Clock::default().now()).await?.then_some(user.id))
        })
        .await?;
    if let Some(id) = changed {
        audit(if admin { "admin_granted" } else { "admin_revoked" }, Some(id));
    }
    match (changed.is_some(), admin) {
        (false, _) => {
            Err(Error::internal(format!("{email} is the last admin; grant it to somebody else first")))
        }
        (true, true) => {
            println!("{email} is an admin now.");
            Ok(())
        }
        (true, false) => {
            println!("{email} is no longer an admin.");
            Ok(())
        }
    }
}

/// The error for a terminal, without its category.
fn terminal_message(error: Error) -> String {
    match error {
        Error::Internal(source) => source.to_string(),
        // The only service that these commands use is the database.
        Error::Unavailable(source) => format!("the database cannot be used now: {source}"),
        other => other.to_string(),
    }
}
