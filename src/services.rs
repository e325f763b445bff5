//! Backing services. Each is a struct with two backends: an embedded one that needs no installation, and one for AWS.
//! The settings choose the backend; the rest of the code does not know which one is in use.

pub mod cache;
pub mod images;
pub mod leaderboard;
pub mod picture_decoder;
pub mod probe;
pub mod rate_limits;
pub mod redis;
pub mod sessions;
pub mod single_flight;
