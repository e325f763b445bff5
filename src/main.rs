//! The command line; see `sample-app --help`.

// Futures of AWS SDK calls, inlined into their callers, nest deeper than the compiler's default limit of 128.
#![recursion_limit = "256"]

use std::process::ExitCode;

#[actix_web::main]
async fn main() -> ExitCode {
    sample_app::cli::run().await
}
