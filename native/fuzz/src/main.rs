//! `make fuzz`: search for a long time, and say how it goes.
//!
//! sluicegate-fuzz [TARGET|all] [SECONDS] [SEED]: all targets share the seconds. Exit status: 0, nothing was found; 1,
//! something was, and stands in the corpus; 2, a wrong call.
#![forbid(unsafe_code)]

use fuzz::{Finding, Fuzzer, TARGETS, Target, corpus};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DEFAULT_SECONDS: u64 = 600;

/// How often it says how it goes.
const PROGRESS: Duration = Duration::from_secs(10);

/// One input in the debug build of a loaded machine. A parser that takes longer hangs, or may as well.
const STUCK: Duration = Duration::from_secs(20);

/// What the search and the terminal both know.
#[derive(Default)]
struct Shared {
    inputs: AtomicU64,
    kept: AtomicUsize,
    findings: AtomicUsize,
    over: AtomicBool,
    current: Mutex<Vec<u8>>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let call = parse(&arguments);
    let Some((targets, seconds, seed)) = call else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("sluicegate-fuzz [TARGET|all] [SECONDS] [SEED]\ntargets: {}", names.join(", "));
        return ExitCode::from(2);
    };
    println!("seed {seed}");
    let share = Duration::from_secs(seconds) / u32::try_from(targets.len()).unwrap_or(1);
    let findings: usize = targets.iter().map(|target| search(target, share, seed)).sum();
    println!("{findings} findings");
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Option<(Vec<&'static Target>, u64, u64)> {
    let name = arguments.first().map_or("all", String::as_str);
    let targets: Vec<_> = TARGETS.iter().filter(|target| name == "all" || target.name == name).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Some(default), |text| text.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let call = (targets, number(1, DEFAULT_SECONDS)?, number(2, now)?);
    Some(call).filter(|(targets, ..)| !targets.is_empty() && arguments.len() <= 3)
}

/// Search on a thread of its own, so that this one can tell when it hangs. Returns the number of findings.
fn search(target: &'static Target, time: Duration, seed: u64) -> usize {
    let shared = Arc::new(Shared::default());
    let searching = Arc::clone(&shared);
    let started = Instant::now();
    let searcher = thread::spawn(move || run(target, started + time, seed, &searching));
    let mut told = (started, 0);
    let mut moved = (started, 0);
    while !searcher.is_finished() {
        thread::sleep(Duration::from_millis(100));
        let inputs = shared.inputs.load(Ordering::Relaxed);
        if inputs != moved.1 {
            moved = (Instant::now(), inputs);
        } else if moved.0.elapsed() > STUCK && !shared.over.load(Ordering::Relaxed) {
            let input = shared.current.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{}: FOUND: no answer after {STUCK:?}\n  {}", target.name, corpus::escape(&input));
            let rule = fuzz::Violation { rule: format!("an answer within {STUCK:?}"), detail: String::new() };
            keep(target, &input, &rule);
            return 1 + shared.findings.load(Ordering::Relaxed);
        }
        if told.0.elapsed() >= PROGRESS {
            tell(target, &shared, inputs - told.1, told.0.elapsed());
            told = (Instant::now(), inputs);
        }
    }
    tell(target, &shared, shared.inputs.load(Ordering::Relaxed), started.elapsed());
    shared.findings.load(Ordering::Relaxed) + usize::from(searcher.join().is_err())
}

fn tell(target: &Target, shared: &Shared, inputs: u64, time: Duration) {
    let rate = inputs * 1000 / u64::try_from(time.as_millis()).unwrap_or(1).max(1);
    println!(
        "{}: {} inputs, {rate}/s, corpus {}, findings {}",
        target.name,
        shared.inputs.load(Ordering::Relaxed),
        shared.kept.load(Ordering::Relaxed),
        shared.findings.load(Ordering::Relaxed),
    );
}

fn run(target: &'static Target, end: Instant, seed: u64, shared: &Shared) {
    let kept = corpus::read(target.name).unwrap_or_else(|error| {
        println!("{}: {error}", target.name);
        shared.findings.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    });
    let kept: Vec<Vec<u8>> = kept.into_iter().map(|entry| entry.input).collect();
    let mut fuzzer = Fuzzer::new(target, seed, kept.clone());
    let mut given = kept.into_iter();
    while Instant::now() < end {
        let input = given.next().unwrap_or_else(|| fuzzer.next_input());
        shared.current.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
        if let Some(Finding { input, violation }) = fuzzer.run(&input) {
            println!("{}: FOUND: {violation}\n  {}", target.name, corpus::escape(&input));
            keep(target, &input, &violation);
            shared.findings.fetch_add(1, Ordering::Relaxed);
        }
        shared.inputs.fetch_add(1, Ordering::Relaxed);
        shared.kept.store(fuzzer.kept(), Ordering::Relaxed);
    }
    shared.over.store(true, Ordering::Relaxed);
    let outcomes = fuzzer.outcomes();
    println!("{}: {} outcomes; the most frequent:", target.name, outcomes.len());
    let mut frequent: Vec<(&String, &u64)> = outcomes.iter().collect();
    frequent.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (outcome, count) in frequent.iter().take(8) {
        println!("  {count:>10}  {outcome}");
    }
}

fn keep(target: &Target, input: &[u8], violation: &fuzz::Violation) {
    match corpus::keep(target.name, input, violation) {
        Ok(file) => println!("  kept in {}", file.display()),
        Err(error) => println!("  NOT kept: {error}"),
    }
}
