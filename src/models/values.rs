//! Value types that check their own rules when they are constructed. They know nothing about tables.

pub mod email;
pub mod name;
pub mod page;
pub mod password;
pub mod token;
pub mod validation;
