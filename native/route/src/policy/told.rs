//! Where a request comes from, as conditions of policies see it: what the backend is told of that, never what a client says
//! of itself.

use crate::table::EditedFields;
use codec::{Field, is_forwarding_name};

/// Fields as the backend is told them. `sent`: how many of them are the client's, the listener's filters set the others;
/// `own`: what the gateway says itself of where the request comes from, unless a filter does.
pub fn told<'f>(
    fields: &[Field<'f>],
    sent: usize,
    own: impl IntoIterator<Item = (&'static str, &'f [u8])>,
) -> EditedFields<'f> {
    let (sent, set) = fields.split_at(sent);
    let kept = sent.iter().filter(|field| !is_forwarding_name(field.name)).chain(set).copied();
    let is_set = |name: &str| set.iter().any(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    let own = own.into_iter().filter(|(name, _)| !is_set(name));
    kept.chain(own.map(|(name, value)| Field { name: name.as_bytes(), value })).collect()
}

#[cfg(test)]
mod tests {
    use super::told;
    use codec::Field;

    #[test]
    fn what_a_client_says_of_itself_is_gone() {
        let fields = [
            ("X-Real-IP", "6.6.6.6"),
            ("x-role", "user"),
            ("X_Forwarded_For", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("X-Forwarded-Proto", "ftp"),
            ("x-set", "1"),
        ];
        let fields = fields.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
        let own = [("x-forwarded-for", &b"192.0.2.1"[..]), ("x-forwarded-proto", &b"http"[..])];
        let text = |sent| -> Vec<String> {
            let told = told(&fields, sent, own);
            told.iter().map(|it| format!("{}: {}", it.name.escape_ascii(), it.value.escape_ascii())).collect()
        };
        let plain = "x-role: user";
        assert_eq!(text(6), [plain, "x-set: 1", "x-forwarded-for: 192.0.2.1", "x-forwarded-proto: http"]);
        // What a filter of the listener has set goes on.
        assert_eq!(text(4), [plain, "X-Forwarded-Proto: ftp", "x-set: 1", "x-forwarded-for: 192.0.2.1"]);
    }
}
