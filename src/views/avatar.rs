//! Avatars: drawn from the user's id, so that no third party learns who visits this site; or from Gravatar.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Cells per side of the drawing; the right half mirrors the left.
const CELLS: usize = 5;

/// A small symmetric pattern in one of many colours, as SVG; always the same for the same id.
pub fn draw(id: i64) -> String {
    let hash = Sha256::digest(id.to_be_bytes());
    let hue = u16::from_be_bytes([hash[0], hash[1]]) % 360;
    let mut cells = String::new();
    for row in 0..CELLS {
        for column in 0..CELLS {
            let mirrored = column.min(CELLS - 1 - column);
            if hash[2 + row * 3 + mirrored] % 2 == 0 {
                // Writing to a String cannot fail.
                let _ = write!(cells, "M{} {}h1v1h-1z", column + 1, row + 1);
            }
        }
    }
    let side = CELLS + 2;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"hsl({hue} 45% 90%)\"/>\
         <path fill=\"hsl({hue} 55% 42%)\" d=\"{cells}\"/></svg>"
    )
}

/// URL of an avatar at Gravatar (docs.gravatar.com: SHA-256 of the address).
pub fn gravatar(email: &str) -> String {
    format!(
        "https://secure.gravatar.com/avatar/{}?s=160&d=identicon",
        hex::encode(Sha256::digest(email.as_bytes()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_everybody_differently_and_always_alike() {
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn knows_gravatars_address() {
        let sha256 = "84059b07d4be67b806386c0aad8070a23f18836bbaae342275dc0a83414c32ee";
        assert_eq!(
            gravatar("myemailaddress@example.com"),
            format!("https://secure.gravatar.com/avatar/{sha256}?s=160&d=identicon")
        );
    }
}
