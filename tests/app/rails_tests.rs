//! Holds docs/rails-tests.md to the sources: each of the original's 69 tests has a counterpart that exists.

use std::fs;
use std::path::Path;

#[test]
fn every_test_of_the_original_has_a_counterpart() {
    let document = include_str!("../../docs/rails-tests.md");
    let mut numbers = Vec::new();
    for row in document.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let names: Vec<&str> = cells[cells.len() - 1].split('`').skip(1).step_by(2).collect();
        let Ok(number) = cells[0].parse::<usize>() else { continue };
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(is_test(name), "{name} is not there: {row}");
        }
        numbers.push(number);
    }
    let departures = numbers.split_off(69);
    assert!(numbers.into_iter().eq(1..=69), "all of them, in their order");
    assert!(departures.into_iter().eq(1..=13), "and the departures");
}

/// `sessions::name` is in tests/app/sessions.rs, `src/models/email.rs::name` beside the code.
fn is_test(name: &str) -> bool {
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
