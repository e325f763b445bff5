//! What controllers share: identity, parameters, cookies and responses; and the middleware around every request.

pub mod client_address;
pub mod cookies;
pub mod disposition;
pub mod draft;
pub mod error_messages;
pub mod flash;
pub mod form;
pub mod immutable_response;
pub mod mail_link;
pub mod middleware;
pub mod params;
pub mod rate_limits;
pub mod responses;
pub mod return_to;
pub mod roles;
pub mod sign_in;
pub mod sign_up;
pub mod upload;
pub mod visitor;
