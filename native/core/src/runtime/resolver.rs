//! Finds out what the names of external hosts come to, again and again: one thread, made for the first such host.
//!
//! By the system's resolver (`getaddrinfo`), on a few threads of its own: it is what everything else in the container asks,
//! with the same files and servers, and no parser of ours hears what strangers send. It tells no lifetimes, so names are asked
//! for each [`AGAIN`]; a name server keeps what may be kept. Names are asked for as they are, without the search list of the
//! pod, in which `db` would be a Service of the cluster.

use crate::upstream::{Hosts, refusal};
use crate::worker::{Generation, Shared};
use ahash::AHashMap;
use route::rendezvous;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// From one resolution of a name to the next.
const AGAIN: Duration = Duration::from_secs(30);

/// After one that failed; twice as long after each further one, up to [`AGAIN`].
const AGAIN_SOON: Duration = Duration::from_secs(1);

/// Names that are asked for; further ones have no address, and the operator is told. Stops a flood of names.
const MAX_HOSTS: usize = 1024;

/// Names that are asked for at once. Stops a resolver that does not answer from taking all threads.
pub const THREADS: usize = 8;

/// Addresses of one name. Stops answers that never end.
const MAX_ADDRESSES: usize = 64;

/// The part of an interval by which resolutions are apart, at most: many gateways must not ask as one.
const JITTER: f64 = 0.1;

/// Some backend of this generation is an external host.
pub fn is_wanted(generation: &Generation) -> bool {
    generation.table.backends().any(|backend| backend.external.is_some())
}

/// Follow the generations: a task for each name.
pub async fn follow(shared: Arc<Shared>) {
    let mut renewed = shared.renewed.subscribe();
    let mut tasks: AHashMap<String, AbortHandle> = AHashMap::new();
    loop {
        let wanted = wanted(&shared);
        shared.externals.swapping().keep(|hostname| wanted.contains(hostname));
        tasks.retain(|hostname, task| {
            let stays = wanted.contains(hostname) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for hostname in wanted {
            if !tasks.contains_key(&hostname) {
                let task = tokio::task::spawn_local(resolve(hostname.clone(), Arc::clone(&shared)));
                tasks.insert(hostname, task.abort_handle());
            }
        }
        if renewed.changed().await.is_err() {
            return;
        }
    }
}

/// The names of the current generation.
fn wanted(shared: &Shared) -> BTreeSet<String> {
    let generation = shared.generation.load();
    let hosts = generation.table.backends().filter_map(|backend| backend.external.as_ref());
    let mut names: BTreeSet<String> = hosts.map(|host| host.hostname.clone()).collect();
    if names.len() > MAX_HOSTS {
        let left_out = names.len() - MAX_HOSTS;
        let message = format!("{left_out} external hosts have no address: there are more than {MAX_HOSTS} names");
        shared.events.push("external_hosts_left_out", message);
        names = names.into_iter().take(MAX_HOSTS).collect();
    }
    names
}

/// Ask for one name for ever.
async fn resolve(hostname: String, shared: Arc<Shared>) {
    let mut said = String::new();
    let (mut turn, mut failures) = (0_u64, 0_u32);
    loop {
        let told = match look_up(&hostname).await {
            Ok(addresses) => {
                failures = 0;
                let (usable, refused) = sorted(addresses, shared.settings.local_external_hosts);
                put(&shared, &hostname, usable);
                refused.map_or(String::new(), |(address, reason)| {
                    format!("external host {hostname} comes to {address}, {reason}: no connection is made to it")
                })
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                format!("external host {hostname} cannot be resolved, its last addresses serve on: {error}")
            }
        };
        // Once, and again where it is something else.
        if told != said && !told.is_empty() {
            shared.events.push("external_host", told.clone());
        }
        said = told;
        turn += 1;
        let pause = match failures {
            0 => AGAIN,
            failures => AGAIN.min(AGAIN_SOON * (1 << (failures - 1).min(5))),
        };
        sleep(pause.mul_f64(1.0 + JITTER * spread(&hostname, turn))).await;
    }
}

/// From -1 to 1, another one for each name and turn.
fn spread(hostname: &str, turn: u64) -> f64 {
    let mixed = rendezvous::hash(turn, hostname.as_bytes());
    2.0 * f64::from((mixed >> 32) as u32) / f64::from(u32::MAX) - 1.0
}

/// Addresses to connect to, and the first that may not be connected to.
fn sorted(addresses: Vec<IpAddr>, local: bool) -> (Vec<IpAddr>, Option<(IpAddr, &'static str)>) {
    let all: BTreeSet<IpAddr> = addresses.into_iter().map(|address| address.to_canonical()).collect();
    let refused = all.iter().find_map(|address| refusal(*address, local).map(|reason| (*address, reason)));
    let usable: Vec<IpAddr> = all.into_iter().filter(|address| refusal(*address, local).is_none()).collect();
    // Where this machine has no way to addresses of one family there is no use in them, unless there are no others.
    let reached: Vec<IpAddr> = usable.iter().copied().filter(|address| has_route(*address)).collect();
    let mut chosen = if reached.is_empty() { usable } else { reached };
    chosen.truncate(MAX_ADDRESSES);
    (chosen, refused)
}

/// The system knows a way there; nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let own = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    UdpSocket::bind(SocketAddr::new(own, 0)).and_then(|socket| socket.connect(SocketAddr::new(address, 9))).is_ok()
}

/// Make a generation with the addresses of a host, where these are others than before.
fn put(shared: &Shared, hostname: &str, addresses: Vec<IpAddr>) {
    let mut hosts = shared.externals.swapping();
    if hosts.know(hostname, addresses) {
        let before = shared.generation.load_full();
        shared.generation.store(Arc::new(with_addresses(&before, &mut hosts)));
        drop(hosts);
        shared.renewed.send_replace(());
    }
}

fn with_addresses(before: &Generation, hosts: &mut Hosts) -> Generation {
    let mut table = before.table.clone();
    hosts.fill(&mut table);
    Generation {
        table,
        server_tls: before.server_tls.clone(),
        client_tls: before.client_tls.clone(),
        chain: before.chain.clone(),
    }
}

async fn look_up(hostname: &str) -> io::Result<Vec<IpAddr>> {
    // A dot at its end keeps the search list out. What has no dot within is of this machine, if it is anything.
    let dot = if hostname.contains('.') { "." } else { "" };
    let found = tokio::net::lookup_host((format!("{hostname}{dot}"), 0)).await?;
    Ok(found.map(|address| address.ip()).take(MAX_ADDRESSES).collect())
}

#[cfg(test)]
mod tests {
    use super::{sorted, spread};
    use std::net::IpAddr;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What a name comes to is looked at each time; a good address beside a bad one serves.
    #[test]
    fn addresses_that_may_not_be_connected_to_are_left_out() {
        let (usable, refused) = sorted(addresses(&["127.0.0.1", "::ffff:127.0.0.2"]), false);
        assert!(usable.is_empty());
        assert_eq!(refused.unwrap().0, addresses(&["127.0.0.1"])[0]);
        let (usable, refused) = sorted(addresses(&["127.0.0.2", "::ffff:127.0.0.1", "127.0.0.1"]), true);
        assert_eq!((usable, refused), (addresses(&["127.0.0.1", "127.0.0.2"]), None));
        let (usable, refused) = sorted(addresses(&["127.0.0.1", "169.254.169.254"]), true);
        assert_eq!((usable, refused.unwrap().0), (addresses(&["127.0.0.1"]), addresses(&["169.254.169.254"])[0]));
        let many: Vec<IpAddr> = (0..200).map(|last| IpAddr::from([127, 0, 1, last])).collect();
        assert_eq!(sorted(many, true).0.len(), super::MAX_ADDRESSES);
    }

    #[test]
    fn gateways_do_not_ask_as_one() {
        let spreads: Vec<f64> = (0..100).map(|turn| spread("a.example", turn)).collect();
        assert!(spreads.iter().all(|it| (-1.0..=1.0).contains(it)));
        assert!(spreads.iter().any(|it| *it < -0.5) && spreads.iter().any(|it| *it > 0.5));
    }
}
