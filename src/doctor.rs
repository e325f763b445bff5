//! `sample-app doctor`: goes towards each of the five services step by step, the way the application does, and says what to
//! do where it does not get on. Leaves nothing behind, sends no mail, prints no secret and logs nothing.

mod certificate;
mod database;
mod greeting;
mod images;
mod logs;
mod mail;
mod network;
mod redis;

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::config::Config;
use crate::error::Error;

/// `println!`, except that it does not mind when nobody reads on (`| head`).
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// A step may take so long.
const LIMIT: Duration = Duration::from_secs(5);
const SILENCE: &str = "whatever is there takes connections and then says nothing: look whether it is the right port, and how \
    the server is doing";
/// Columns of a terminal that lines keep to.
const WIDTH: usize = 110;

/// Looks at all services, one after the other, and prints what it finds. Whether all is well.
pub async fn examine(config: &Config) -> bool {
    // On the heap, as the compiler asks for: all of what sqlx, redis and the SDK do lies beneath.
    let all = [
        Box::pin(database::examine(config)).await,
        Box::pin(redis::examine(config)).await,
        Box::pin(images::examine(config)).await,
        Box::pin(mail::examine(config)).await,
        Box::pin(logs::examine(config)).await,
    ];
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

/// What is found out about one service, printed line by line as it is.
struct Check {
    service: &'static str,
    /// Steps that are still to be taken.
    ahead: Vec<&'static str>,
    ok: usize,
    failed: bool,
}

/// A step failed, and has been printed.
struct Failed;

/// What a step found: something for the next one, and a text.
type Found<T> = Result<(T, String), Problem>;

/// What is wrong and what to do.
struct Problem {
    what: String,
    advice: String,
}

impl Problem {
    fn new(what: impl Display, advice: impl Into<String>) -> Problem {
        Problem { what: what.to_string(), advice: advice.into() }
    }

    /// Errors here say what is wrong and, behind a semicolon, what to do; `advice` is for those that do not.
    fn of(error: &Error, advice: &str) -> Problem {
        let text = said(error);
        match text.split_once("; ") {
            Some((what, to_do)) => Problem::new(what, to_do),
            None => Problem::new(text, advice),
        }
    }
}

/// A file of authorities that cannot be used, and what would be in a good one.
fn bad_file(error: &Error, authorities: &str) -> Problem {
    let trouble = Problem::of(error, "name a file that can be read");
    Problem { advice: format!("{}: {authorities}", trouble.advice), ..trouble }
}

impl Check {
    fn begin(service: &'static str, address: &str, steps: &[&'static str]) -> Check {
        say!("{service:<10} {address}");
        Check { service, ahead: steps.to_vec(), ok: 0, failed: false }
    }

    /// Takes a step, within the usual time.
    async fn step<T>(
        &mut self,
        name: &'static str,
        look: impl Future<Output = Found<T>>,
    ) -> Result<T, Failed> {
        self.step_within(LIMIT, name, SILENCE, look).await
    }

    /// The same with a time of its own, and advice of its own for a server that keeps silent.
    async fn step_within<T>(
        &mut self,
        limit: Duration,
        name: &'static str,
        silence: &str,
        look: impl Future<Output = Found<T>>,
    ) -> Result<T, Failed> {
        let late = |_| Err(Problem::new(format!("no answer within {} s", limit.as_secs()), silence));
        let found = timeout(limit, look).await.unwrap_or_else(late);
        self.ahead.retain(|ahead| *ahead != name);
        match found {
            Ok((value, text)) => {
                self.ok += 1;
                print("ok", name, &text);
                Ok(value)
            }
            Err(trouble) => {
                self.failed = true;
                print("FAILED", name, &trouble.what);
                print("", "do this:", &trouble.advice);
                Err(Failed)
            }
        }
    }

    /// A step that cannot be taken, without anything being wrong.
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

/// One line, or several with the text below itself. What servers say may hold anything: none of it moves the cursor.
fn print(outcome: &str, name: &str, text: &str) {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let first = format!("  {outcome:<7} {name:<10} ");
    let below = " ".repeat(first.len());
    let options = textwrap::Options::new(WIDTH).initial_indent(&first).subsequent_indent(&below);
    let wrapped = textwrap::fill(text.trim(), options.break_words(false));
    say!("{}", if text.trim().is_empty() { first.trim_end() } else { &wrapped });
}

/// An error without the word that sorts it.
fn said(error: &Error) -> String {
    match error {
        Error::Unavailable(source) | Error::Internal(source) => source.to_string(),
        other => other.to_string(),
    }
}

fn milliseconds(since: Instant) -> String {
    format!("{} ms", since.elapsed().as_millis())
}

/// Whether files can be written, read and removed in this folder, which is made if it is not there.
async fn folder(folder: &Path, setting: &str) -> Found<()> {
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
