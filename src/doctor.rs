//! `sample-app doctor`: connects to each of the services step by step, as the application does, and prints advice
//! for the first step that fails. Leaves nothing behind, sends no mail, prints no secret and logs nothing.

mod certificate;
mod database;
mod images;
mod logs;
mod mail;
mod mysql_handshake;
mod network;
mod reader;
mod redis;

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::config::Config;
use crate::error::Error;

/// `println!` that ignores a closed pipe (`| head`).
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Time-out for a step.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
const NO_RESPONSE_ADVICE: &str = "whatever is there takes connections and then says nothing: look whether it is the \
    right port, and how the server is doing";
/// Maximum line width in columns.
const COLUMNS: usize = 110;

/// Checks all services, one after the other, and prints the findings. Returns whether all checks passed.
pub async fn run(config: &Config) -> bool {
    if !config.references.is_empty() {
        say!("{:<10} from AWS", "settings");
    }
    for (name, reference) in &config.references {
        say!("  {name}: {reference}");
    }
    // The compiler requires boxing: these futures contain those of sqlx, redis and the AWS SDK.
    let mut all = vec![Box::pin(database::run(config)).await];
    if let Some(reader) = &config.database_reader {
        all.push(Box::pin(reader::run(config, reader)).await);
    }
    all.extend([
        Box::pin(redis::run(config)).await,
        Box::pin(images::run(config)).await,
        Box::pin(mail::run(config)).await,
        Box::pin(logs::run(config)).await,
    ]);
    let ill: Vec<_> = all.iter().filter(|check| check.failed).map(|check| check.service).collect();
    say!();
    if ill.is_empty() {
        let steps: usize = all.iter().map(|check| check.ok).sum();
        say!("All {} services are well: {steps} steps, all ok.", all.len());
    } else {
        say!("{} of {} services need attention: {}.", ill.len(), all.len(), ill.join(", "));
    }
    ill.is_empty()
}

/// The check of one service. Each step is printed as soon as it is done.
struct Check {
    service: &'static str,
    /// Steps not done yet.
    ahead: Vec<&'static str>,
    ok: usize,
    failed: bool,
}

/// Marks that a step failed; its problem has been printed.
struct Failed;

/// The result of a step: a value for later steps, and the text to print.
type StepResult<T> = Result<(T, String), Problem>;

struct Problem {
    what: String,
    advice: String,
}

impl Problem {
    fn new(what: impl Display, advice: impl Into<String>) -> Problem {
        Problem { what: what.to_string(), advice: advice.into() }
    }

    /// Splits an error of the form `what is wrong; what to do`. `advice` is for errors without the second part.
    fn of(error: &Error, advice: &str) -> Problem {
        let text = error.text();
        match text.split_once("; ") {
            Some((what, to_do)) => Problem::new(what, to_do),
            None => Problem::new(text, advice),
        }
    }
}

/// Problem for a CA file that cannot be used; `ca_advice` says what it should contain.
fn bad_file(error: &Error, ca_advice: &str) -> Problem {
    let problem = Problem::of(error, "name a file that can be read");
    Problem { advice: format!("{}: {ca_advice}", problem.advice), ..problem }
}

impl Check {
    fn begin(service: &'static str, address: &str, steps: &[&'static str]) -> Check {
        say!("{service:<10} {address}");
        Check { service, ahead: steps.to_vec(), ok: 0, failed: false }
    }

    /// Runs a step with the default time-out.
    async fn step<T>(
        &mut self,
        name: &'static str,
        look: impl Future<Output = StepResult<T>>,
    ) -> Result<T, Failed> {
        self.step_within(STEP_TIMEOUT, name, NO_RESPONSE_ADVICE, look).await
    }

    /// Runs a step with its own time-out, and with its own advice for a server that does not answer.
    async fn step_within<T>(
        &mut self,
        limit: Duration,
        name: &'static str,
        no_response_advice: &str,
        look: impl Future<Output = StepResult<T>>,
    ) -> Result<T, Failed> {
        let late =
            |_| Err(Problem::new(format!("no answer within {} s", limit.as_secs()), no_response_advice));
        let found = timeout(limit, look).await.unwrap_or_else(late);
        self.ahead.retain(|ahead| *ahead != name);
        match found {
            Ok((value, text)) => {
                self.ok += 1;
                print("ok", name, &text);
                Ok(value)
            }
            Err(problem) => {
                self.failed = true;
                print("FAILED", name, &problem.what);
                print("", "do this:", &problem.advice);
                Err(Failed)
            }
        }
    }

    /// Marks a step that cannot run although nothing is wrong.
    fn skip(&mut self, name: &'static str, why: &str) {
        self.ahead.retain(|ahead| *ahead != name);
        print("skipped", name, why);
    }

    fn end(self, _: Result<(), Failed>) -> Check {
        for name in &self.ahead {
            print("skipped", name, "");
        }
        self
    }
}

/// Prints one step and wraps its text. Control characters in a server's reply become blanks, so that none reaches the
/// terminal.
fn print(outcome: &str, name: &str, text: &str) {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let first = format!("  {outcome:<7} {name:<10} ");
    let below = " ".repeat(first.len());
    let options = textwrap::Options::new(COLUMNS).initial_indent(&first).subsequent_indent(&below);
    let wrapped = textwrap::fill(text.trim(), options.break_words(false));
    say!("{}", if text.trim().is_empty() { first.trim_end() } else { &wrapped });
}

fn milliseconds(since: Instant) -> String {
    format!("{} ms", since.elapsed().as_millis())
}

/// Writes, reads and removes a file in this folder, which is created if it does not exist.
async fn folder(folder: &Path, setting: &str) -> StepResult<()> {
    let (place, path) = (folder.display().to_string(), folder.to_owned());
    let tried = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&path)?;
        let file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(&path)?;
        std::fs::write(file.path(), b"doctor")?;
        let read = std::fs::read(file.path())?;
        file.close()?;
        if read == b"doctor" {
            Ok(())
        } else {
            Err(std::io::Error::other("what was written is not what was read"))
        }
    });
    match tried.await.map_err(std::io::Error::other).flatten() {
        Ok(()) => Ok(((), format!("{place} takes files"))),
        Err(error) => Err(Problem::new(
            format!("{place}: {error}"),
            format!("let the user who runs the program write there, or set another folder in {setting}"),
        )),
    }
}
