//! The command line; see `sample-app --help`.

// A call of the AWS SDK, inlined into what awaits it, nests deeper than the 128 that the compiler goes by default.
#![recursion_limit = "256"]

use std::process::ExitCode;

#[actix_web::main]
async fn main() -> ExitCode {
    sample_app::cli::run().await
}
