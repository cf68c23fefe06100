//! The smallest input that still breaks the same rule, as far as leaving out and simplifying leads.

use super::targets::Target;

/// Inputs that are tried for one finding: a slow target is not to hold up the search for more.
const MAX_TRIES: usize = 20_000;

pub fn minimise(target: &Target, found: &[u8], rule: &str) -> Vec<u8> {
    let mut smallest = found.to_vec();
    let mut tries = 0;
    let mut still_breaks = |input: &[u8]| {
        tries += 1;
        tries <= MAX_TRIES && target.try_input(input).is_err_and(|violation| violation.rule == rule)
    };
    loop {
        let before = smallest.clone();
        let mut size = smallest.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < smallest.len() {
                let end = smallest.len().min(at + size);
                let shorter = [&smallest[..at], &smallest[end..]].concat();
                if still_breaks(&shorter) {
                    smallest = shorter;
                } else {
                    at = end;
                }
            }
            size /= 2;
        }
        // A byte that does not matter reads best as a letter.
        for at in 0..smallest.len() {
            let byte = std::mem::replace(&mut smallest[at], b'a');
            if byte != b'a' && !still_breaks(&smallest) {
                smallest[at] = byte;
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}
