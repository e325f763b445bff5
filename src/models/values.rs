//! Plain values with rules of their own: they are checked when they are made, and know no table.

pub mod email;
pub mod name;
pub mod page;
pub mod password;
pub mod token;
pub mod validation;
