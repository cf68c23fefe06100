use super::{LISTS, LabelSets, Labels, Limited, MAX_SETS, MAX_SETS_OF_ONE, Version};
use crate::error::ErrorCode;
use crate::observe::method::Method;
use crate::observe::metrics::{Format, Took};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "http_server_request_duration_seconds";

fn took() -> Took {
    Took::of(Duration::from_millis(3))
}

fn served(method: &str, status: u16) -> Labels {
    Labels::new(Method::of(method.as_bytes()), status, None, status >= 500).served(Version::Http11, false)
}

/// The counts of sets, with their labels.
fn counts(limited: &Limited, all: &[(&str, &LabelSets)]) -> Vec<String> {
    let mut text = String::new();
    let all = all.iter().map(|(path, sets)| (format!(",http_route=\"{path}\""), *sets));
    limited.render(NAME, all, &mut text, Format::Text);
    let prefix = format!("{NAME}_count");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(ToOwned::to_owned).collect()
}

#[test]
fn labels_are_of_the_conventions() {
    let limited = Limited::new(1);
    let sets = LabelSets::new(&limited);
    let get = Method::of(b"GET");
    let gone = Labels::new(get, 499, Some(ErrorCode::ClientGone), true).served(Version::Http2, true);
    let refused = Labels::new(get, 404, Some(ErrorCode::NoRoute), false).served(Version::Http10, false);
    let sent = Labels::new(get, 0, Some(ErrorCode::UpstreamConnect), true);
    for labels in [served("GET", 200), served("BREW", 503), gone, refused, sent, served("GET", 200)] {
        sets.record(0, labels, took(), None);
    }
    let expected = [
        "http_request_method=\"GET\",http_route=\"/a\",error_type=\"upstream_connect\"} 1",
        "http_request_method=\"GET\",url_scheme=\"http\",network_protocol_version=\"1.0\",\
         http_response_status_code=\"404\",http_route=\"/a\"} 1",
        "http_request_method=\"GET\",url_scheme=\"http\",network_protocol_version=\"1.1\",\
         http_response_status_code=\"200\",http_route=\"/a\"} 2",
        "http_request_method=\"GET\",url_scheme=\"https\",network_protocol_version=\"2\",\
         http_response_status_code=\"499\",http_route=\"/a\",error_type=\"client_gone\"} 1",
        "http_request_method=\"_OTHER\",url_scheme=\"http\",network_protocol_version=\"1.1\",\
         http_response_status_code=\"503\",http_route=\"/a\",error_type=\"503\"} 1",
    ];
    assert_eq!(counts(&limited, &[("/a", &sets)]), expected.map(|line| format!("{{{line}")));
}

/// Every code has a place of its own, beside every other label.
#[test]
fn no_labels_are_taken_for_others() {
    let mut all = Vec::new();
    for code in ErrorCode::ALL.iter().copied().map(Some).chain([None]) {
        for (method, version) in [("GET", Version::Http10), ("CONNECT", Version::Http2)] {
            for status in [0, 200, 599, 999] {
                let labels = Labels::new(Method::of(method.as_bytes()), status, code, true);
                all.extend([labels, labels.served(version, false), labels.served(version, true)]);
            }
        }
    }
    let number = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), number);
    assert!(all.iter().all(|labels| labels.list() < LISTS));
}

/// Who tries everything on one path fills the places of that path; who has many paths fills all. What is beyond is one series,
/// and told once; what leaves makes room.
#[test]
fn beyond_the_limits_there_is_one_series() {
    let limited = Limited::new(2);
    let paths: Vec<_> = (0..MAX_SETS / MAX_SETS_OF_ONE).map(|_| LabelSets::new(&limited)).collect();
    for round in 0..2 {
        for status in 200..600 {
            paths[0].record(round, served("GET", status), took(), None);
        }
    }
    let of_first = counts(&limited, &[("/a", &paths[0])]);
    assert_eq!(of_first.len(), MAX_SETS_OF_ONE + 1);
    let beyond = 2 * (400 - MAX_SETS_OF_ONE);
    assert_eq!(of_first.last().unwrap(), &format!("{{otel_metric_overflow=\"true\"}} {beyond}"));
    // What has its own place keeps it, whoever asks.
    assert!(of_first[..MAX_SETS_OF_ONE].iter().all(|line| line.ends_with("} 2")));
    assert!(limited.is_news() && !limited.is_news());
    for path in &paths {
        (200..600).for_each(|status| path.record(0, served("GET", status), took(), None));
    }
    let late = LabelSets::new(&limited);
    late.record(0, served("GET", 200), took(), None);
    assert!(counts(&limited, &[("/late", &late)])[0].starts_with("{otel"));
    drop(paths);
    late.record(0, served("GET", 200), took(), None);
    assert_eq!(counts(&limited, &[("/late", &late)]).len(), 2);
}

/// Workers that meet a set at once have the same one.
#[test]
fn workers_add_up() {
    let limited = Limited::new(4);
    let sets = Arc::new(LabelSets::new(&limited));
    let threads: Vec<_> = (0..4)
        .map(|worker| {
            let sets = Arc::clone(&sets);
            std::thread::spawn(move || {
                for status in (200..280).cycle().take(8_000) {
                    sets.record(worker, served("GET", status), took(), None);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let found = counts(&limited, &[("/a", &sets)]);
    assert!(found.len() == 80 && found.iter().all(|line| line.ends_with("} 400")), "{found:?}");
    assert_eq!(limited.taken.load(std::sync::atomic::Ordering::Relaxed), 80);
}
