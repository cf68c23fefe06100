//! When the certificates of listeners end, for Prometheus: names and times, nothing of what is in their Secrets.

use super::ServerTls;
use crate::observe::counter::{escape, header};
use std::fmt::Write;

/// Pairs of a listener and a certificate that are told, those that end first; as many as the controller tells. Stops thousands of
/// listeners from being as many series.
const MAX_TOLD: usize = 1_000;

impl ServerTls {
    /// Write down the ends of all certificates that listeners show.
    pub fn render_ends(&self, text: &mut String) {
        let of_listeners = self
            .listeners
            .iter()
            .flat_map(|(listener, tls)| tls.keys.iter().map(|key| (key.not_after, &**listener, key.ir.id.as_str())));
        let mut all: Vec<_> = of_listeners.collect();
        all.sort_unstable();
        let name = "certificate_expiry_timestamp_seconds";
        header(text, name, "gauge", "When the certificate of a listener ends, seconds since 1970.");
        for (end, listener, secret) in all.iter().take(MAX_TOLD) {
            let labels = format!("listener=\"{}\",secret=\"{}\"", escape(listener), escape(secret));
            let _ = writeln!(text, "sluicegate_{name}{{{labels}}} {end}");
        }
        header(text, "certificate_expiries_untold", "gauge", "Certificates of listeners beyond these.");
        let _ = writeln!(text, "sluicegate_certificate_expiries_untold {}", all.len().saturating_sub(MAX_TOLD));
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerTls;
    use super::MAX_TOLD;
    use crate::observe::events::Events;
    use rcgen::{CertificateParams, KeyPair};
    use route::table::{NoTags, State};
    use serde_json::{Value, json};

    /// The samples of these listeners, each with the certificates of these names; the certificate `n` ends in the year 2000 + n.
    fn told(listeners: &[(String, Vec<u8>)]) -> Vec<String> {
        let key = KeyPair::generate().expect("a key");
        let certificate = |years: u8| {
            let mut parameters = CertificateParams::new(vec!["a.test".to_owned()]).expect("parameters");
            parameters.not_before = rcgen::date_time_ymd(1999, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2000 + i32::from(years), 1, 1);
            let made = parameters.self_signed(&key).expect("a certificate");
            json!({"id": format!("shop/{years}"), "chain": made.pem(), "key": key.serialize_pem()})
        };
        let mut years: Vec<u8> = listeners.iter().flat_map(|(_, years)| years.clone()).collect();
        years.sort_unstable();
        years.dedup();
        let listener = |(id, years): &(String, Vec<u8>)| {
            let names: Vec<_> = years.iter().map(|years| format!("shop/{years}")).collect();
            json!({"id": id, "gateway": "a/g", "port": 443, "bind_port": 443, "protocol": "HTTPS", "hostname": format!("{id}.test"),
                "tls": {"certificates": names}})
        };
        let change = json!({"version": route::ir::VERSION, "generation": 1, "full": true,
            "upsert": {"listeners": listeners.iter().map(listener).collect::<Vec<Value>>()},
            "secrets": {"certificates": years.into_iter().map(certificate).collect::<Vec<Value>>()}});
        let transaction = serde_json::from_value(change).expect("a transaction");
        let table = State::default().apply(transaction, &NoTags).expect("a good transaction");
        let mut text = String::new();
        ServerTls::build(&table, &ServerTls::default(), &Events::default()).render_ends(&mut text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.replace("sluicegate_certificate_", "")).collect()
    }

    /// Those that end first come first, whichever listener shows them.
    #[test]
    fn the_ends_of_all_listeners() {
        let of = |name: &str, years: &[u8]| (name.to_owned(), years.to_vec());
        let expected = [
            "expiry_timestamp_seconds{listener=\"two\",secret=\"shop/10\"} 1262304000",
            "expiry_timestamp_seconds{listener=\"one\",secret=\"shop/20\"} 1577836800",
            "expiry_timestamp_seconds{listener=\"two\",secret=\"shop/20\"} 1577836800",
            "expiries_untold 0",
        ];
        assert_eq!(told(&[of("one", &[20]), of("two", &[20, 10])]), expected);
        assert_eq!(told(&[]), ["expiries_untold 0"]);
    }

    #[test]
    fn there_is_a_limit_of_series() {
        let many: Vec<_> = (0..MAX_TOLD + 7).map(|number| (format!("l{number}"), vec![20])).collect();
        let told = told(&many);
        assert_eq!((told.len(), told.last().map(String::as_str)), (MAX_TOLD + 1, Some("expiries_untold 7")));
    }
}
