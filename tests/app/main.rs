//! The integration tests, one file per topic. Each test has its own application and database, and uses public routes as
//! a browser does. `scripts/test` runs them on SQLite, MariaDB and MySQL; support/ is the test support code.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails as loudly as it likes"
)]
#![expect(unreachable_pub, reason = "nobody but these tests uses them")]

mod support;

mod activations;
mod bad_input;
mod bad_paths;
mod beanstalk;
mod beanstalk_settings;
mod browser;
mod busy;
mod cleanup;
mod command_line;
mod containers;
mod database_cluster;
mod database_connections;
mod database_faults;
mod database_proxy;
mod database_reader;
mod database_reader_faults;
mod database_statements;
mod database_tls;
mod deploy_ec2;
mod doctor;
mod doctor_service;
mod doctor_way;
mod documents;
mod drafts;
mod email_changes;
mod email_restores;
mod fail_over;
mod first_run;
mod form_addresses;
mod fuzz;
mod headers;
mod html;
mod iam_sign_in;
mod idempotency;
mod inbox;
mod kills;
mod limits;
mod log;
mod log_in;
mod logstash;
mod logstash_faults;
mod logstash_files;
mod long_lists;
mod mail_faults;
mod mail_log;
mod mails;
mod markup;
mod microposts;
mod migration_rules;
mod migrations;
mod model_queries;
mod most_followed;
mod multipart;
mod nginx;
mod nginx_files;
mod nginx_raw;
mod nginx_visitors;
mod observatory;
mod origin;
mod outbox;
mod overload;
mod password_resets;
mod passwords;
mod picture_deletions;
mod picture_memory;
mod pictures;
mod post_deletion;
mod promotion;
mod queue_queries;
mod rails_tests;
mod raw;
mod redis;
mod rejected_requests;
mod relationships;
mod remember_me;
mod roles;
mod rolling;
mod rotation;
mod round_trips;
mod routes;
mod s3;
mod s3_faults;
mod s3_reads;
mod schema;
mod secrets;
mod security;
mod serving;
mod ses_events;
mod sessions;
mod settings;
mod sign_up;
mod smtp;
mod sns_messages;
mod sql_rules;
mod stack;
mod stale_decisions;
mod static_files;
mod static_pages;
mod targets;
mod timeline;
mod timeline_repair;
mod transactions;
mod unicode;
mod user_deletion;
mod user_removal;
mod users;
mod walkthrough_pictures;
