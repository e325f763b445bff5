//! Checks docs/rails-tests.md against the sources: each of the Rails sample's 69 tests has an existing counterpart.

use crate::support::named_tests::{cells, code, exists};

#[test]
fn every_test_of_the_original_has_a_counterpart() {
    let document = include_str!("../../docs/rails-tests.md");
    let mut numbers = Vec::new();
    for row in document.lines().filter(|line| line.starts_with("| ")) {
        let cells = cells(row);
        let names: Vec<&str> = code(cells[cells.len() - 1]).collect();
        let Ok(number) = cells[0].parse::<usize>() else { continue };
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(exists(name), "{name} is not there: {row}");
        }
        numbers.push(number);
    }
    let departures = numbers.split_off(69);
    assert!(numbers.into_iter().eq(1..=69), "all of them, in their order");
    assert!(departures.into_iter().eq(1..=13), "and the departures");
}
