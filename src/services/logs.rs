//! Where log lines go: to stdout, readable in development, one JSON object a line in production.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{AppEnv, Config};

/// Sends what the program has to say to stdout, from now on. A second call does nothing.
pub fn start(config: &Config) {
    // What the server says of its threads helps nobody at first; LOG may ask for it all the same.
    let filter = EnvFilter::builder().parse_lossy(format!("actix_server=warn,{}", config.log));
    let colours = std::io::stdout().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    let started = match config.env {
        AppEnv::Development => lines.with_target(false).compact().try_init(),
        AppEnv::Production => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    if started.is_ok() {
        // A panic's message may quote what a user sent; the place is enough to find it.
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(location, "panic");
        }));
    }
}
