//! Fields that a backend gets from its policies and filters or not at all, wherever in a message they stand: some take a trailer
//! for a field of the head (RFC 9110 section 6.5.1), and who sends one late would be who it wants to be.

use super::{OwnedFields, Removed};
use crate::table::{Filters, PreRouting};

/// Names of fields that no trailer of a request may have.
#[derive(Debug, Default)]
pub struct Withheld<'g> {
    owned: Option<&'g OwnedFields>,
    removed: Removed<'g>,
    /// Of the listener, which edit before a rule is chosen.
    before: Option<&'g PreRouting>,
    /// Of the rule and its backend.
    filters: Option<[&'g Filters; 2]>,
}

impl<'g> Withheld<'g> {
    /// What policies may set, and what was taken out of the head.
    pub fn of(owned: Option<&'g OwnedFields>, removed: Removed<'g>) -> Self {
        Self { owned, removed, ..Self::default() }
    }

    /// And what filters replace or take out.
    #[must_use]
    pub fn edited(self, before: &'g PreRouting, filters: [&'g Filters; 2]) -> Self {
        Self { before: Some(before), filters: Some(filters), ..self }
    }

    /// Whether a field is one of them: of a policy in any spelling, of a filter as it is written.
    pub fn has(&self, name: &[u8]) -> bool {
        self.owned.is_some_and(|owned| owned.withholds(name))
            || self.removed.iter().any(|removal| removal.takes(name))
            || self.before.is_some_and(|edits| edits.replaces(name))
            || self.filters.iter().flatten().any(|filters| filters.replaces(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Withheld;
    use crate::policy::access::samples::{from, key};
    use crate::policy::{Compiled, OwnedFields, Removal};
    use crate::samples::{listener, rule, table};
    use serde_json::json;
    use std::sync::Arc;

    /// A trailer is a field of the head to some backends: each of those who have a name has it there too.
    #[test]
    fn names_that_no_trailer_has() {
        let set = |kind: &str, name: &str, removed: &str| {
            json!({"type": kind, "set": [{"name": name, "value": "1"}], "add": [{"name": "x-added", "value": "1"}],
                "remove": [removed]})
        };
        let before = json!([set("request_headers", "x-edge", "x-edge-gone")]);
        let own = json!([set("request_headers", "x-rule", "x-gone"), set("response_headers", "x-answer", "x-left")]);
        let of_backend = json!([set("request_headers", "x-backend", "x-backend-gone")]);
        let backends = json!([{"backend": "b", "weight": 1, "filters": of_backend}]);
        let table = table(
            json!([rule("r", json!({"filters": own, "backends": backends}))]),
            json!({"listeners": [listener("l", 80, json!({"filters": before}))]}),
        );
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
        let found = listener.find(&crate::samples::head("/", &[])).unwrap().rule;
        let headers =
            from(json!({"type": "client_headers", "id": "ClientPolicy/a/b/headers", "underscores": "Reject"}));
        let policies = [headers, key(false)].map(|ir| Arc::new(Compiled::of(ir, Vec::new(), Vec::new())));
        let owned = OwnedFields::of(&policies);
        let removed = vec![Removal::Field("x-api-key".into()), Removal::Query("x-query".to_owned())];
        let edits = [&found.filters, &found.backends[0].filters];
        let of_policies = Withheld::of(Some(&owned), removed.into());
        let names = |withheld: &Withheld<'_>, all: &[&'static str]| -> Vec<&'static str> {
            all.iter().filter(|name| withheld.has(name.as_bytes())).copied().collect()
        };
        let (policy, filters) = (
            ["x-user", "X.User", "x_any", "x-api-key", "X_API_KEY"],
            ["x-edge", "X-Edge-Gone", "x-rule", "X-GONE", "x-backend", "x-backend-gone"],
        );
        let free = ["x-added", "x-answer", "x-left", "x-query", "x.rule", "x-other", "x-edge-"];
        assert_eq!(names(&of_policies, &policy), policy);
        assert!(names(&of_policies, &filters).is_empty() && names(&of_policies, &free).is_empty());
        let all = of_policies.edited(&listener.filters.pre_routing, edits);
        assert_eq!((names(&all, &policy), names(&all, &filters)), (policy.to_vec(), filters.to_vec()));
        assert!(names(&all, &free).is_empty(), "{:?}", names(&all, &free));
        assert!(names(&Withheld::default(), &policy).is_empty());
    }
}
