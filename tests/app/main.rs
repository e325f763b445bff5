//! The tests: one file a subject. Each test has an application and a database of its own, and walks through public
//! routes as a browser does. `scripts/test` runs them on SQLite, MariaDB and MySQL; see support/ for how.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails as loudly as it likes"
)]
#![expect(unreachable_pub, reason = "nobody but these tests uses them")]

mod support;

mod bad_input;
mod bad_paths;
mod headers;
mod log;
mod markup;
mod microposts;
mod multipart;
mod observatory;
mod origin;
mod raw;
mod roles;
mod routes;
mod sign_up;
mod targets;
