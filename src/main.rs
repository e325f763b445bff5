//! The command line; see `sample-app --help`.

use std::process::ExitCode;

#[actix_web::main]
async fn main() -> ExitCode {
    sample_app::cli::run().await
}
