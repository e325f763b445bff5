//! Tests that documents name: `sessions::name` is in tests/app/sessions.rs, `src/models/values/email.rs::name` in that
//! file.

use std::fs;
use std::path::Path;

pub fn exists(name: &str) -> bool {
    let Some((file, function)) = name.rsplit_once("::") else { return false };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path =
        if file.starts_with("src/") { root.join(file) } else { root.join(format!("tests/app/{file}.rs")) };
    let Ok(source) = fs::read_to_string(path) else { return false };
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        pair[0].ends_with("test]")
            && pair[1].trim_start_matches("async ").starts_with(&format!("fn {function}("))
    })
}

/// The texts between single backticks in a line.
pub fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The cells of a row of a Markdown table.
pub fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}
