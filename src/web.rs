//! What every controller uses: who is there, what was sent, how to answer; and what surrounds every request.

pub mod client_address;
pub mod cookies;
pub mod disposition;
pub mod draft;
pub mod error_pages;
pub mod flash;
pub mod form;
pub mod guard;
pub mod headers;
pub mod mail_link;
pub mod params;
pub mod ranges;
pub mod request_log;
pub mod return_to;
pub mod roles;
pub mod same_origin;
pub mod sign_in;
pub mod sign_up;
pub mod target;
pub mod upload;
pub mod visitor;
