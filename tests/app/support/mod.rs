//! Test support: the application ([`app`]), a browser without JavaScript ([`browser`]) and the pages it reads
//! ([`page`]), or the real program ([`program`]). Functions that access the database directly are named `db_..`.

pub mod app;
pub mod beanstalk;
pub mod browser;
pub mod certificates;
pub mod chrome;
pub mod database;
pub mod database_cluster;
pub mod database_server;
pub mod database_sessions;
pub mod doctor;
pub mod fake_aws;
pub mod ledger;
pub mod lines;
pub mod mails;
pub mod ministack;
pub mod mysql_router;
pub mod named_tests;
pub mod nginx;
pub mod outbox;
pub mod page;
pub mod people;
pub mod posts;
pub mod program;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod replica;
pub mod rsyslog;
pub mod s3;
pub mod server;
pub mod smtp;
pub mod sns;
pub mod statement_log;
pub mod table;
pub mod tally;
pub mod tls_front;
pub mod wait;

pub use app::TestApp;
pub use browser::Browser;
pub use certificates::Certificates;
pub use database::TestDatabase;
pub use database_cluster::DatabaseCluster;
pub use database_server::DatabaseServer;
pub use ledger::Ledger;
pub use nginx::Nginx;
pub use page::Page;
pub use program::Program;
pub use proxy::Proxy;
pub use rsyslog::Rsyslog;
pub use s3::Bucket;
pub use server::Server;
pub use smtp::MailServer;

/// A number that a script sets, such as TEST_KILLS.
pub fn env_number<T: std::str::FromStr<Err = std::num::ParseIntError>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}
