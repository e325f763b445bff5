//! What stands behind the application: each a struct over its backends, an embedded one that needs nothing installed and
//! the one on AWS. Settings decide which; nothing else in the code knows.

pub mod cache;
pub mod cleaner;
pub mod http;
pub mod images;
pub mod leaderboard;
pub mod limits;
pub mod logs;
pub mod mail_requests;
pub mod mailer;
pub mod picture_decoder;
pub mod post_office;
mod probe;
pub mod redis;
pub mod sessions;
pub mod sns;
pub mod tls;
pub mod traffic;
pub mod vitals;
