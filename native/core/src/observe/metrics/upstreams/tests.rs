use super::{MAX_BACKENDS, MAX_ENDPOINTS, RequestEnd, UpstreamSeries};
use crate::observe::metrics::Format;
use crate::worker::{Generation, Worker};
use route::ir::EndpointState;
use route::table::Endpoint;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const QUICK: Duration = Duration::from_millis(2);

fn endpoint(backend: &str, last: u8) -> Endpoint {
    let address = SocketAddr::from(([10, 0, 0, last], 80));
    Endpoint { id: format!("{backend}@{address}"), address, uid: u64::from(last), state: EndpointState::Ready }
}

/// The samples, without the histogram's buckets.
fn samples(series: &UpstreamSeries) -> Vec<String> {
    let mut text = String::new();
    series.render(&mut text, Format::Text);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    lines.map(|line| line.replace("sluicegate_upstream_", "")).collect()
}

/// A worker that goes by these endpoints, each of a backend of its own name.
fn configured(endpoints: &[(&str, u8)]) -> Rc<Worker> {
    let worker = Worker::alone(Generation::default()).unwrap();
    let mut names: Vec<&str> = endpoints.iter().map(|(backend, _)| *backend).collect();
    names.dedup();
    let of = |(backend, last): &(&str, u8)| {
        json!({"id": format!("{backend}@10.0.0.{last}:80"), "backend": backend, "address": format!("10.0.0.{last}"),
            "port": 80})
    };
    let backends: Vec<Value> = names.iter().map(|name| json!({"id": name})).collect();
    worker.apply(&json!({"backends": backends, "endpoints": endpoints.iter().map(of).collect::<Vec<_>>()})).unwrap();
    worker
}

/// All workers together; those that failed before anything was sent took no time that says anything.
#[test]
fn figures_of_endpoints_and_of_their_backend() {
    let series = UpstreamSeries::default();
    let (one, two) = (endpoint("a/b/80", 1), endpoint("a/b/80", 2));
    for worker in 0..2 {
        series.shard(worker, &one).record(RequestEnd::Answered(204), QUICK, None);
        series.shard(worker, &one).record(RequestEnd::Answered(503), Duration::from_secs(1), None);
    }
    series.shard(0, &two).record(RequestEnd::NotConnected, Duration::from_secs(5), None);
    series.shard(0, &endpoint("c/d/443", 2)).record(RequestEnd::Opened, QUICK, None);
    let labels = |last: u8| format!("backend=\"a/b/80\",address=\"10.0.0.{last}:80\"");
    let expected = [
        format!("requests_total{{{},result=\"2xx\"}} 2", labels(1)),
        format!("requests_total{{{},result=\"5xx\"}} 2", labels(1)),
        format!("requests_total{{{},result=\"connect\"}} 1", labels(2)),
        "requests_total{backend=\"c/d/443\",address=\"10.0.0.2:80\",result=\"opened\"} 1".to_owned(),
        format!("endpoint_duration_seconds_sum{{{}}} 2.004", labels(1)),
        format!("endpoint_duration_seconds_count{{{}}} 4", labels(1)),
        "request_duration_seconds_sum{backend=\"a/b/80\"} 2.004".to_owned(),
        "request_duration_seconds_count{backend=\"a/b/80\"} 4".to_owned(),
    ];
    assert_eq!(samples(&series), expected);
    let mut text = String::new();
    series.render(&mut text, Format::Text);
    for (bound, count) in [("0.001", 0), ("0.0025", 2), ("0.5", 2), ("1", 4), ("+Inf", 4)] {
        let line = format!("request_duration_seconds_bucket{{backend=\"a/b/80\",le=\"{bound}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[test]
fn each_end_has_a_word_of_its_own() {
    let ends = [
        RequestEnd::Answered(99),
        RequestEnd::Answered(100),
        RequestEnd::Answered(299),
        RequestEnd::Answered(304),
        RequestEnd::Answered(404),
        RequestEnd::Answered(599),
        RequestEnd::Opened,
        RequestEnd::NotConnected,
        RequestEnd::Reset,
        RequestEnd::Broken,
        RequestEnd::Expired,
        RequestEnd::Abandoned,
    ];
    assert_eq!(ends.map(RequestEnd::place).to_vec(), (0..super::RESULTS.len()).collect::<Vec<_>>());
    assert_eq!(RequestEnd::Answered(999).place(), 0);
}

/// What is not configured and in no worker's hands is forgotten, but for what its backend took.
#[test]
fn an_endpoint_that_left_goes_on_counting_for_its_backend() {
    let series = UpstreamSeries::default();
    let held = series.shard(0, &endpoint("b", 1));
    held.record(RequestEnd::Answered(200), QUICK, None);
    series.shard(0, &endpoint("b", 2)).record(RequestEnd::Answered(200), QUICK, None);
    series.shard(0, &endpoint("gone", 3)).record(RequestEnd::Answered(200), QUICK, None);
    series.sweep(&configured(&[("b", 1), ("b", 2), ("gone", 3)]).generation().table);
    let before = samples(&series);
    assert_eq!(before.len(), 3 + 2 * 3 + 2 * 2, "all of them are configured: {before:?}");

    let other = configured(&[("b", 9)]).generation();
    series.sweep(&other.table);
    let left = samples(&series);
    let of = |last: u8| left.iter().any(|line| line.contains(&format!("10.0.0.{last}:80")));
    assert!(of(1) && !of(2) && !of(3) && !left.iter().any(|line| line.contains("gone")), "{left:?}");
    assert!(left.contains(&"request_duration_seconds_count{backend=\"b\"} 2".to_owned()), "{left:?}");

    drop(held);
    series.sweep(&other.table);
    let expected =
        ["request_duration_seconds_sum{backend=\"b\"} 0.004", "request_duration_seconds_count{backend=\"b\"} 2"];
    assert_eq!(samples(&series), expected);
    series.sweep(&Worker::alone(Generation::default()).unwrap().generation().table);
    assert_eq!(samples(&series), [""; 0]);
}

/// Whoever comes too late is `other`, and its figures are whole all the same; room that came free is used again.
#[test]
fn beyond_the_limits_there_is_one_series() {
    let series = UpstreamSeries::default();
    let address = |number: usize| SocketAddr::from((std::net::Ipv4Addr::from(u32::try_from(number).unwrap()), 80));
    let late = |backend: &str, number: usize| {
        let id = format!("{backend}@{}", address(number));
        Endpoint { id, address: address(number), uid: 0, state: EndpointState::Ready }
    };
    for number in 0..MAX_ENDPOINTS + 500 {
        series.shard(0, &late("a", number)).record(RequestEnd::Answered(200), QUICK, None);
    }
    let told = samples(&series);
    assert_eq!(told.iter().filter(|line| line.starts_with("requests_total")).count(), MAX_ENDPOINTS + 1);
    assert!(told.contains(&"requests_total{backend=\"a\",address=\"other\",result=\"2xx\"} 500".to_owned()));
    let all = format!("request_duration_seconds_count{{backend=\"a\"}} {}", MAX_ENDPOINTS + 500);
    assert!(told.contains(&all), "{all}");

    for number in 0..MAX_BACKENDS + 50 {
        series.shard(0, &late(&format!("b{number}"), 1)).record(RequestEnd::Answered(200), QUICK, None);
    }
    let told = samples(&series);
    assert!(told.contains(&"requests_total{backend=\"other\",address=\"other\",result=\"2xx\"} 51".to_owned()));

    series.make_room(&configured(&[]).generation().table);
    series.shard(0, &late("new", 1)).record(RequestEnd::Answered(200), QUICK, None);
    let line = format!("requests_total{{backend=\"new\",address=\"{}\",result=\"2xx\"}} 1", address(1));
    assert!(samples(&series).contains(&line), "{line}");
}
