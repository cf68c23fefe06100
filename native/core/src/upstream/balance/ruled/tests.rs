//! A backend with a policy, and where its requests go.

use crate::settings::Settings;
use crate::upstream::{Active, Among, ConnectStage, Load, Loads, Outcome, Upstreams};
use route::ir::{
    ActiveHealth, BackendPolicy, BackendProtocol, EndpointState, HealthQuestion, KeyPart, LoadBalancing, PassiveHealth,
};
use route::rendezvous::{best, hash, seed_of};
use route::table::{Backend, Endpoint, Near};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, advance};

const REFUSED: Outcome = Outcome::NotConnected(ConnectStage::Tcp);
const PASSIVE: PassiveHealth = PassiveHealth { consecutive_errors: 3, eject_for_ms: 10_000, max_ejected_percent: 100 };

fn backend(count: u8, policy: BackendPolicy) -> Backend {
    let endpoint = |uid: u8| {
        let address = SocketAddr::from(([10, 0, 0, uid], 80));
        Arc::new(Endpoint { id: uid.to_string(), address, uid: uid.into(), state: EndpointState::Ready })
    };
    let ready: Vec<_> = (0..count).map(endpoint).collect();
    let mut backend = Backend {
        id: "b".to_owned(),
        protocol: BackendProtocol::Http,
        policies: Vec::new(),
        tls: None,
        seeds: ready.iter().map(|endpoint| seed_of(endpoint.address)).collect(),
        near: Vec::new(),
        datagrams: false,
        external: None,
        kept: None,
        policy: Some(Arc::new(policy)),
        traffic: None,
        ready,
        draining: Vec::new(),
    };
    backend.kept = Some(Loads::default().of(&backend));
    backend
}

fn upstreams() -> Upstreams {
    Upstreams::new(&Settings::default(), Arc::default())
}

fn balanced(load_balancing: LoadBalancing) -> BackendPolicy {
    BackendPolicy { load_balancing, ..BackendPolicy::default() }
}

fn hashed() -> BackendPolicy {
    balanced(LoadBalancing::Hash { key: vec![KeyPart::Client], subset: 0 })
}

/// How often each endpoint is picked; requests stay under way where they are `kept`.
fn counts(
    upstreams: &Upstreams,
    among: Among<'_>,
    requests: usize,
    mut kept: Option<&mut Vec<Active>>,
) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let (endpoint, state) = upstreams.pick(among, &[]).unwrap();
        *counts.entry(endpoint.uid).or_default() += 1;
        if let Some(kept) = &mut kept {
            kept.push(state.begin());
        }
    }
    counts
}

fn fail(upstreams: &Upstreams, backend: &Backend, uid: usize, outcome: Outcome, times: usize) {
    let state = upstreams.state(&backend.ready[uid]);
    (0..times).for_each(|_| upstreams.report(Among::of(backend), &state, outcome, Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn shares_are_as_each_way_has_them() {
    for count in [2, 3, 10, 100] {
        let each = 100;
        let requests = usize::from(count) * each;
        for (way, least, most) in [
            (LoadBalancing::RoundRobin, each, each),
            (LoadBalancing::Random, 50, 160),
            (LoadBalancing::LeastRequest, 85, 110),
            (LoadBalancing::PeakEwma, 50, 160),
        ] {
            let (upstreams, backend) = (upstreams(), backend(count, balanced(way.clone())));
            // As if all answered alike.
            for endpoint in &backend.ready {
                upstreams.state(endpoint).answered_in(Duration::from_millis(5));
            }
            let mut kept = Vec::new();
            let counts = counts(&upstreams, Among::of(&backend), requests, Some(&mut kept));
            assert_eq!(counts.len(), usize::from(count), "{way:?}");
            assert!(counts.values().all(|share| (least..=most).contains(share)), "{way:?} of {count}: {counts:?}");
        }
    }
}

/// Turns are common to all workers.
#[tokio::test(start_paused = true)]
async fn workers_take_turns_together() {
    let backend = backend(4, balanced(LoadBalancing::RoundRobin));
    let workers = [upstreams(), upstreams()];
    let pick = |turn: usize| workers[turn % 2].pick(Among::of(&backend), &[]).map(|(endpoint, _)| endpoint.uid);
    let picked: Vec<_> = (0..8).filter_map(pick).collect();
    assert_eq!(picked, [0, 1, 2, 3, 0, 1, 2, 3]);
}

/// A key has its endpoint; while that one is out, the next of its own order; and it goes back to it.
#[tokio::test(start_paused = true)]
async fn keys_stay_where_they_are() {
    let (upstreams, all) = (upstreams(), backend(10, hashed()));
    let at = |key: u64| upstreams.pick(Among::of(&all).with_key(Some(hash(0, &key.to_le_bytes()))), &[]).unwrap().0.uid;
    let before: Vec<u64> = (0..500).map(at).collect();
    fail(&upstreams, &all, 3, REFUSED, 5);
    let during: Vec<u64> = (0..500).map(at).collect();
    assert!(before.contains(&3) && !during.contains(&3));
    assert!(before.iter().zip(&during).all(|(before, during)| before == during || *before == 3));
    upstreams.report(Among::of(&all), &upstreams.state(&all.ready[3]), Outcome::Answered(200), Instant::now());
    assert_eq!((0..500).map(at).collect::<Vec<_>>(), before);
    // A try after another goes on in the order of the key; a request without a key to anybody.
    let key = Among::of(&all).with_key(Some(hash(0, &7_u64.to_le_bytes())));
    let mut tried = Vec::new();
    while let Some((endpoint, _)) = upstreams.pick(key, &tried) {
        tried.push(endpoint.uid);
    }
    assert_eq!(tried.len(), 10);
    assert_eq!(counts(&upstreams, Among::of(&all), 100, None).len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_gives_a_growing_share() {
    let slow = |way| BackendPolicy { slow_start_ms: 10_000, ..balanced(way) };
    for way in [LoadBalancing::RoundRobin, LoadBalancing::Random, LoadBalancing::LeastRequest] {
        let (upstreams, all) = (upstreams(), backend(4, slow(way.clone())));
        for endpoint in &all.ready[1..] {
            upstreams.state(endpoint);
        }
        advance(Duration::from_secs(20)).await;
        let share = |upstreams: &Upstreams| {
            let mut kept = Vec::new();
            counts(upstreams, Among::of(&all), 1000, Some(&mut kept)).get(&0).copied().unwrap_or(0)
        };
        let first = share(&upstreams);
        advance(Duration::from_secs(5)).await;
        let half = share(&upstreams);
        advance(Duration::from_secs(5)).await;
        let whole = share(&upstreams);
        assert!((5..=60).contains(&first), "{way:?} {first}");
        assert!((90..=200).contains(&half), "{way:?} {half}");
        assert!((200..=300).contains(&whole), "{way:?} {whole}");
    }
}

/// The one that answers slowly is left alone, but not forgotten.
#[tokio::test(start_paused = true)]
async fn slow_answers_are_avoided() {
    let (upstreams, all) = (upstreams(), backend(2, balanced(LoadBalancing::PeakEwma)));
    for (uid, milliseconds) in [(0, 200), (1, 2)] {
        upstreams.state(&all.ready[uid]).answered_in(Duration::from_millis(milliseconds));
    }
    assert_eq!(counts(&upstreams, Among::of(&all), 100, None), [(1, 100)].into());
    let mut kept = Vec::new();
    let under_load = counts(&upstreams, Among::of(&all), 202, Some(&mut kept));
    assert!((1..=3).contains(&under_load[&0]), "{under_load:?}");
    // One that fails at once is not the fastest.
    upstreams.report(Among::of(&all), &upstreams.state(&all.ready[1]), Outcome::Reset, Instant::now());
    assert_eq!(counts(&upstreams, Among::of(&all), 100, None).get(&0), Some(&100));
}

#[tokio::test(start_paused = true)]
async fn answers_count_where_a_policy_says_so() {
    for (outcome, ejects) in [
        (Outcome::Answered(500), true),
        (Outcome::Answered(499), false),
        (Outcome::Reset, true),
        (Outcome::Broken, true),
        (Outcome::Expired, true),
        (Outcome::ClientLeft, false),
        (REFUSED, true),
    ] {
        for passive in [Some(PASSIVE), None] {
            let (upstreams, all) = (upstreams(), backend(3, BackendPolicy { passive, ..BackendPolicy::default() }));
            fail(&upstreams, &all, 0, outcome, 2);
            // A connection makes up for nothing that answers did.
            upstreams.state(&all.ready[0]).is_there();
            fail(&upstreams, &all, 0, outcome, 1);
            let counts_now = ejects && passive.is_some() && outcome != REFUSED;
            assert_eq!(upstreams.state(&all.ready[0]).health.is_ejected(), counts_now, "{outcome:?} {passive:?}");
            fail(&upstreams, &all, 0, outcome, 2);
            let connection = outcome == REFUSED && passive.is_some();
            assert_eq!(upstreams.state(&all.ready[0]).health.is_ejected(), counts_now || connection, "{outcome:?}");
        }
    }
}

/// Ejected for as long as the policy says, tried by one, twice as long when that fails, back when it answers.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_with_errors_comes_back() {
    let (upstreams, all) =
        (upstreams(), backend(2, BackendPolicy { passive: Some(PASSIVE), ..BackendPolicy::default() }));
    let picked = || counts(&upstreams, Among::of(&all), 20, None).contains_key(&0);
    fail(&upstreams, &all, 0, Outcome::Answered(503), 3);
    assert!(!picked());
    for pause in [10, 20] {
        advance(Duration::from_millis(pause * 1000 - 1)).await;
        assert!(!picked());
        advance(Duration::from_millis(1)).await;
        assert!(picked(), "one tries it");
        assert!(!picked());
        upstreams.state(&all.ready[0]).is_there();
        fail(&upstreams, &all, 0, Outcome::Answered(500), 1);
    }
    advance(Duration::from_secs(40)).await;
    assert!(picked());
    upstreams.report(Among::of(&all), &upstreams.state(&all.ready[0]), Outcome::Answered(200), Instant::now());
    assert!(picked() && !upstreams.state(&all.ready[0]).health.is_ejected());
}

#[tokio::test(start_paused = true)]
async fn where_too_few_do_well_all_are_used() {
    for (panic_percent, failing, expected) in [(50, 2, 2), (50, 3, 4), (0, 3, 1), (100, 1, 4)] {
        let policy = BackendPolicy { passive: Some(PASSIVE), panic_percent, ..balanced(LoadBalancing::RoundRobin) };
        let (upstreams, all) = (upstreams(), backend(4, policy));
        for uid in 0..failing {
            fail(&upstreams, &all, uid, Outcome::Answered(500), 3);
        }
        assert_eq!(counts(&upstreams, Among::of(&all), 40, None).len(), expected, "{panic_percent} {failing}");
    }
}

fn asked(load_balancing: LoadBalancing, panic_percent: u8) -> BackendPolicy {
    let active = ActiveHealth {
        question: HealthQuestion::Tcp,
        interval_ms: 1000,
        timeout_ms: 1000,
        unhealthy_after: 1,
        healthy_after: 1,
        port: 0,
    };
    BackendPolicy { active: Some(Arc::new(active)), panic_percent, ..balanced(load_balancing) }
}

fn decide(backend: &Backend, uid: u64, is_healthy: bool) {
    Load::of(backend).unwrap().checked().decide(uid, is_healthy);
}

/// Whatever the way of balancing, an endpoint that was asked and does badly gets nothing, for want of others neither, until so
/// few are left that the policy has all of them used.
#[tokio::test(start_paused = true)]
async fn what_does_badly_when_it_is_asked_gets_nothing() {
    let key = LoadBalancing::Hash { key: vec![KeyPart::Client], subset: 0 };
    let some = LoadBalancing::Hash { key: vec![KeyPart::Client], subset: 2 };
    let without_key =
        [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random, LoadBalancing::PeakEwma];
    for way in without_key.into_iter().chain([key, some]) {
        for count in [1_u8, 2, 3, 10] {
            let (upstreams, never, half) = (upstreams(), asked(way.clone(), 0), asked(way.clone(), 50));
            let backend = backend(count, never);
            let among = |key| Among::of(&backend).with_key(Some(key));
            let picked = || -> BTreeSet<u64> {
                (0..1000).filter_map(|key| upstreams.pick(among(hash(key, b"")), &[])).map(|(it, _)| it.uid).collect()
            };
            assert_eq!(picked().len(), usize::from(count), "{way:?}: none was asked");
            decide(&backend, 0, false);
            assert_eq!(picked(), (1..u64::from(count)).collect(), "{way:?} of {count}");
            // A session with it is over too, and who has tried the others finds none.
            let seed = seed_of(backend.ready[0].address);
            let preferring = upstreams.pick(among(1).preferring(Some(seed)), &[]);
            assert_eq!(preferring.map(|(endpoint, _)| endpoint.uid == 0), (count > 1).then_some(false));
            let others: Vec<u64> = (1..u64::from(count)).collect();
            assert!(upstreams.pick(among(1), &others).is_none());
            (0..u64::from(count)).for_each(|uid| decide(&backend, uid, false));
            assert!(picked().is_empty());
            let panicking = Backend { policy: Some(Arc::new(half)), ..backend.clone() };
            let panicking = Among::of(&panicking);
            assert!(upstreams.pick(panicking, &[]).is_some(), "{way:?}: too few do well");
            decide(&backend, 0, true);
            assert_eq!(picked(), BTreeSet::from([0]));
        }
    }
}

/// A key has so many endpoints of its own, of which one that is busy is left for another; one that does badly is replaced.
#[tokio::test(start_paused = true)]
async fn a_key_has_a_few_endpoints_of_its_own() {
    let subset = LoadBalancing::Hash { key: vec![KeyPart::Client], subset: 3 };
    let (upstreams, backend) = (upstreams(), backend(20, asked(subset, 0)));
    let among = |key| Among::of(&backend).with_key(Some(key));
    let mut all = BTreeSet::new();
    for key in (0_u64..50).map(|key| hash(key, b"")) {
        let own = counts(&upstreams, among(key), 300, None);
        assert_eq!(own.len(), 3, "{own:?}");
        assert!(own.values().all(|count| (90..=110).contains(count)), "{own:?}");
        // The first of them is the only one where there is one.
        let place = best(&backend.seeds, key, &[]).unwrap();
        assert!(own.contains_key(&backend.ready[place].uid));
        all.extend(own.into_keys());
    }
    assert_eq!(all.len(), 20);
    let key = hash(1, b"");
    let before = counts(&upstreams, among(key), 300, None);
    // A retry goes to another one of them, and to the next one of the key's order where all were tried.
    let own: Vec<u64> = before.keys().copied().collect();
    let retried = |tried: &[u64]| -> BTreeSet<u64> {
        (0..50).map(|_| upstreams.pick(among(key), tried).unwrap().0.uid).collect()
    };
    assert_eq!(retried(&own[..1]), own[1..].iter().copied().collect());
    assert_eq!(retried(&own[..2]), BTreeSet::from([own[2]]));
    let places: Vec<usize> = own.iter().map(|uid| usize::try_from(*uid).unwrap()).collect();
    let next = best(&backend.seeds, key, &places).unwrap();
    assert_eq!(retried(&own), BTreeSet::from([backend.ready[next].uid]));
    let gone = *before.keys().next().unwrap();
    decide(&backend, gone, false);
    let after = counts(&upstreams, among(key), 300, None);
    assert!(after.len() == 3 && !after.contains_key(&gone), "{after:?}");
    assert_eq!(before.keys().filter(|uid| after.contains_key(uid)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_well_again_starts_slowly() {
    let policy = BackendPolicy { slow_start_ms: 10_000, ..asked(LoadBalancing::RoundRobin, 0) };
    let (upstreams, backend) = (upstreams(), backend(2, policy));
    counts(&upstreams, Among::of(&backend), 2, None);
    advance(Duration::from_secs(60)).await;
    decide(&backend, 0, false);
    decide(&backend, 0, true);
    let begins = counts(&upstreams, Among::of(&backend), 1000, None);
    assert!((10..200).contains(&begins[&0]), "{begins:?}");
    advance(Duration::from_secs(10)).await;
    let whole = counts(&upstreams, Among::of(&backend), 1000, None);
    assert!((450..550).contains(&whole[&0]), "{whole:?}");
}

/// Of this node, then of this zone, then anywhere; each with and without a policy.
#[tokio::test(start_paused = true)]
async fn what_is_near_comes_first_as_long_as_it_does_well() {
    for policy in
        [None, Some(asked(LoadBalancing::RoundRobin, 0)), Some(asked(LoadBalancing::Random, 50)), Some(hashed())]
    {
        let upstreams = upstreams();
        let mut backend = backend(6, policy.clone().unwrap_or_default());
        let part =
            |count: usize| Near { endpoints: backend.ready[..count].to_vec(), seeds: backend.seeds[..count].to_vec() };
        backend.near = vec![part(1), part(3)];
        if policy.is_none() {
            backend.policy = None;
        }
        let picked = |tried: &[u64]| -> BTreeSet<u64> {
            let among = |key| Among::of(&backend).with_key(Some(hash(key, b"")));
            (0..1000).filter_map(|key| upstreams.pick(among(key), tried)).map(|(endpoint, _)| endpoint.uid).collect()
        };
        assert_eq!(picked(&[]), BTreeSet::from([0]));
        // What was tried is not tried again: the zone is next, then all.
        assert!(picked(&[0]).is_subset(&BTreeSet::from([1, 2])));
        assert!(picked(&[0, 1, 2]).is_subset(&BTreeSet::from([3, 4, 5])));
        // A session stays where it is.
        let far = Among::of(&backend).preferring(Some(seed_of(backend.ready[5].address)));
        assert_eq!(upstreams.pick(far, &[]).unwrap().0.uid, 5);
        (0..5).for_each(|_| fail(&upstreams, &backend, 0, REFUSED, 1));
        assert_eq!(picked(&[]), BTreeSet::from([1, 2]));
        if policy.is_some_and(|policy| policy.active.is_some()) {
            decide(&backend, 1, false);
            let tight = backend.policy.as_ref().is_some_and(|policy| policy.panic_percent > 0);
            // With two of three out the zone has too few, where a policy says how many that is.
            let expected = if tight { BTreeSet::from([2, 3, 4, 5]) } else { BTreeSet::from([2]) };
            assert_eq!(picked(&[]), expected);
            decide(&backend, 2, false);
            assert_eq!(picked(&[]), BTreeSet::from([3, 4, 5]));
        }
    }
}
