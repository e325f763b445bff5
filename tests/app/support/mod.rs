//! What tests stand on: an application of their own ([`app`]), a browser without JavaScript ([`browser`]), and pages
//! whose marks they read ([`page`]). What goes to the database directly is named `db_..`.

pub mod app;
pub mod browser;
pub mod database;
pub mod mails;
pub mod page;
pub mod people;
pub mod raw;
pub mod table;

pub use app::TestApp;
pub use browser::Browser;
pub use page::Page;
