//! Middleware. server.rs and routes.rs apply it.

pub mod admission;
pub mod authentication;
pub mod error_pages;
pub mod host_mismatch;
pub mod read_your_writes;
pub mod request_log;
pub mod run_detached;
pub mod same_origin;
pub mod security_headers;
