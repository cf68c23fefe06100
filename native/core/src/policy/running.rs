//! What a policy has besides what it says, the same for all workers: what it counted, whom it knows by now.

use route::policy::Compiled;

/// Made once for each policy. It lives as long as a generation has the policy.
#[derive(Debug)]
pub enum Running {
    /// Nothing: it judges by what is before it.
    Stateless,
}

impl Running {
    /// `_before`: of the same policy as it was, to take over what is still right.
    pub fn of(_policy: &Compiled, _before: Option<&Self>) -> Self {
        Self::Stateless
    }
}
