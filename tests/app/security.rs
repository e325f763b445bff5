//! Checks SECURITY.md and docs/asvs.md against the sources: each promise names existing tests, and each ASVS
//! requirement at levels 1 and 2 is listed once.

use std::collections::BTreeSet;

use crate::support::named_tests::{cells, code, exists};

const SECURITY: &str = include_str!("../../SECURITY.md");
const ASVS: &str = include_str!("../../docs/asvs.md");

/// The requirements of ASVS 5.0.0 at levels 1 and 2: the last number in each section, which starts at 1.
const SECTIONS: &str = "1.1.2 1.2.9 1.3.11 1.4.3 1.5.2 2.1.3 2.2.3 2.3.4 2.4.1 3.2.2 3.3.4 3.4.6 3.5.5 3.7.2 4.1.3 \
    4.2.1 4.3.2 4.4.4 5.1.1 5.2.3 5.3.2 5.4.3 6.1.3 6.2.12 6.3.4 6.4.4 6.5.5 6.6.3 6.8.4 7.1.3 7.2.4 7.3.2 7.4.5 7.5.2 \
    7.6.2 8.1.2 8.2.3 8.3.1 8.4.1 9.1.3 9.2.4 10.1.2 10.2.2 10.3.4 10.4.11 10.5.5 10.6.2 10.7.3 11.1.2 11.2.3 11.3.3 \
    11.4.4 11.5.1 11.6.1 12.1.3 12.2.2 12.3.4 13.1.1 13.2.5 13.3.2 13.4.5 14.1.2 14.2.4 14.3.3 15.1.3 15.2.3 15.3.7 \
    16.1.1 16.2.5 16.3.4 16.4.3 16.5.3 17.1.1 17.2.4 17.3.2";

fn rows(document: &str) -> impl Iterator<Item = &str> {
    let is_row = |line: &&str| {
        line.starts_with("| ") && !["| promise", "| requirement"].iter().any(|head| line.starts_with(head))
    };
    document.lines().filter(is_row)
}

fn requirements(row: &str) -> impl Iterator<Item = String> {
    cells(row)[0].trim_start_matches("| ").split(", ").map(str::to_owned)
}

#[test]
fn every_promise_names_tests_that_exist() {
    let promises: Vec<&str> = rows(SECURITY).collect();
    assert!(promises.len() > 30, "the document was understood: {promises:?}");
    for row in promises {
        let names: Vec<&str> = code(cells(row)[1]).collect();
        assert!(!names.is_empty(), "no test holds this: {row}");
        for name in names {
            assert!(exists(name), "{name} is not there: {row}");
        }
    }
}

#[test]
fn every_requirement_of_the_asvs_is_listed_once_with_tests_that_exist() {
    let listed: Vec<String> = rows(ASVS).flat_map(requirements).collect();
    let expected: BTreeSet<String> = SECTIONS
        .split_whitespace()
        .flat_map(|last| {
            let (section, count) = last.rsplit_once('.').unwrap();
            (1..=count.parse::<u32>().unwrap()).map(move |number| format!("{section}.{number}"))
        })
        .collect();
    assert_eq!(expected.len(), 253);
    assert_eq!(listed.len(), expected.len(), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
    for row in rows(ASVS) {
        assert!(cells(row)[1].len() > 10, "says nothing: {row}");
        for name in code(row).filter(|code| code.contains("::")) {
            assert!(exists(name), "{name} is not there: {row}");
        }
    }
}
