//! What comes of one input: an outcome, or a rule that was broken. A panic breaks a rule too.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

/// What a parser made of an input, in a few words: the same for all inputs that are dealt with alike.
pub type Outcome = String;

/// A rule that an input breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The same for every input that breaks it.
    pub rule: String,
    /// What was seen.
    pub detail: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.rule)?;
        if self.detail.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.detail) }
    }
}

/// Leave with a [`Violation`] unless the condition holds: `ensure!(condition, "the rule", "what {was} seen")`.
macro_rules! ensure {
    ($condition:expr, $rule:expr) => {
        ensure!($condition, $rule, "")
    };
    ($condition:expr, $rule:expr, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::verdict::Violation { rule: $rule.to_string(), detail: format!($($detail)+) });
        }
    };
}
pub(crate) use ensure;

thread_local! {
    /// An input is being tried on this thread: a panic is a finding, and not for the terminal.
    static TRYING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<Violation>> = const { RefCell::new(None) };
}

/// Try one input.
///
/// # Errors
/// The rule that it breaks; a panic is told with its place.
pub fn examine(check: fn(&[u8]) -> Result<Outcome, Violation>, input: &[u8]) -> Result<Outcome, Violation> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| if TRYING.get() { note(info) } else { before(info) }));
    });
    TRYING.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| check(input)));
    TRYING.set(false);
    result.unwrap_or_else(|_| Err(PANIC.take().unwrap_or_else(|| violation_of("", "a panic without a message"))))
}

fn note(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let payload = info.payload();
    let message = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
    PANIC.set(Some(violation_of(&place, message.unwrap_or_default())));
}

fn violation_of(place: &str, message: &str) -> Violation {
    Violation { rule: format!("nothing panics{place}"), detail: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let violation = examine(|input| Ok(char::from(input[3]).to_string()), b"abc").unwrap_err();
        assert!(violation.rule.contains("verdict.rs:"), "{violation}");
        assert!(violation.detail.contains("out of bounds"), "{violation}");
        assert_eq!(examine(|input| Ok(input.len().to_string()), b"abc"), Ok("3".to_owned()));
    }
}
