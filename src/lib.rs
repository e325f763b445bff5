//! Sample App: people sign up, activate by mail, log in, post short texts with pictures and follow each other.
//!
//! In reading order: [`config`] (every setting), [`app`] (puts it together), [`server`] (serves it), [`routes`] (the URL table),
//! [`controllers`] (what a request does), [`models`] (tables and rules), [`web`] (what every controller uses),
//! [`services`] (what stands behind: sessions, images, mail, logs), [`views`] and templates/ (what people see).

pub mod app;
pub mod aws;
pub mod cli;
pub mod client_gone;
pub mod clock;
pub mod config;
pub mod controllers;
pub mod cpu_pool;
pub mod db;
pub mod doctor;
pub mod error;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod models;
pub mod publishing;
pub mod routes;
pub mod seeds;
pub mod server;
pub mod services;
pub mod telemetry;
pub mod thread_local_pool;
pub mod tls;
pub mod views;
pub mod web;
