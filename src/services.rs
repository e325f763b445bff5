//! What stands behind the application: each a struct over its backends, an embedded one that needs nothing installed and
//! the one on AWS. Settings decide which; nothing else in the code knows.

pub mod cache;
pub mod http;
pub mod images;
pub mod leaderboard;
pub mod limits;
pub mod picture_decoder;
pub mod probe;
pub mod redis;
pub mod sessions;
pub mod single_flight;
pub mod tls;
