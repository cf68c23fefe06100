//! The kept inputs, and a short search from them: the same one every time.

use fuzz::{Fuzzer, TARGETS, corpus};
use std::collections::BTreeSet;

/// Inputs that are made for each target. It is a count, so that a slow machine tests the same.
const INPUTS: usize = 4_000;

#[test]
fn every_kept_input_keeps_the_rules() {
    let mut broken = Vec::new();
    for target in &TARGETS {
        let entries = corpus::read(target.name).unwrap();
        assert!(entries.len() >= 8, "{} has few inputs to begin with: {}", target.name, entries.len());
        for entry in entries {
            if let Err(violation) = target.try_input(&entry.input) {
                broken.push(format!("{}:{}: {violation}", entry.file.display(), entry.line));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_folder_is_of_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let folders = std::fs::read_dir(corpus::folder()).unwrap();
    let folders: BTreeSet<String> = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, names);
}

#[test]
fn a_short_search_finds_nothing() {
    for target in &TARGETS {
        let kept: Vec<Vec<u8>> = corpus::read(target.name).unwrap().into_iter().map(|entry| entry.input).collect();
        let mut fuzzer = Fuzzer::new(target, 1, kept.clone());
        for input in kept {
            assert_eq!(fuzzer.run(&input), None, "{}", target.name);
        }
        for _ in 0..INPUTS {
            let input = fuzzer.next_input();
            if let Some(finding) = fuzzer.run(&input) {
                let text = corpus::escape(&finding.input);
                panic!("{}: {}\n{text}\nKeep it: make fuzz TARGET={}", target.name, finding.violation, target.name);
            }
        }
        // A parser that refuses everything would keep every rule.
        assert!(fuzzer.outcomes().len() >= 4, "{}: {:?}", target.name, fuzzer.outcomes());
    }
}
