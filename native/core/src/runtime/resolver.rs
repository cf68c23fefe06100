//! Finds out what the names of external hosts come to, again and again: one thread, made for the first such host.
//!
//! The files and name servers are those of the system (`/etc/hosts`, `/etc/resolv.conf`, read anew each time), and an answer
//! holds for as long as it says, within bounds. Names are asked for as they are, without the search list of the pod, in which
//! `db` would be a Service of the cluster.

use crate::upstream::{Hosts, refusal};
use crate::worker::{Generation, Shared};
use ahash::AHashMap;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use route::rendezvous;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// From one resolution of a name to the next, whatever lifetime it has: none is asked for all the time, or for ever the same.
const AGAIN_AT_LEAST: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(300);

/// After one that failed; twice as long after each further one, up to [`FAILED_AT_MOST`].
const AGAIN_SOON: Duration = Duration::from_secs(1);
const FAILED_AT_MOST: Duration = Duration::from_secs(30);

/// For one answer of one name server, each of which is asked twice.
const LIMIT: Duration = Duration::from_secs(5);

/// Names that are asked for; further ones have no address, and the operator is told. Stops a flood of names.
const MAX_HOSTS: usize = 1024;

/// Names that are asked for at once. Stops a start from being a flood of questions.
const MAX_AT_ONCE: usize = 8;

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
    let turns = Rc::new(Semaphore::new(MAX_AT_ONCE));
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
                let task = tokio::task::spawn_local(resolve(hostname.clone(), Arc::clone(&shared), Rc::clone(&turns)));
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
async fn resolve(hostname: String, shared: Arc<Shared>, turns: Rc<Semaphore>) {
    let mut said = String::new();
    let (mut turn, mut failures) = (0_u64, 0_u32);
    loop {
        let permit = turns.acquire().await;
        let found = match system() {
            Ok(system) => look_up(&hostname, system).await,
            Err(error) => Err(error),
        };
        drop(permit);
        let pause;
        let told = match found {
            Ok(found) => {
                failures = 0;
                pause = found.holds.clamp(AGAIN_AT_LEAST, AGAIN_AT_MOST);
                let (usable, refused) = sorted(found.addresses, shared.settings.local_external_hosts);
                put(&shared, &hostname, usable);
                refused.map_or(String::new(), |(address, reason)| {
                    format!("external host {hostname} comes to {address}, {reason}: no connection is made to it")
                })
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                pause = FAILED_AT_MOST.min(AGAIN_SOON * (1 << (failures - 1).min(5)));
                format!("external host {hostname} cannot be resolved, its last addresses serve on: {error}")
            }
        };
        // Once, and again where it is something else.
        if told != said && !told.is_empty() {
            shared.events.push("external_host", told.clone());
        }
        said = told;
        turn += 1;
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
        tells_ends: before.tells_ends,
        secrets: before.secrets.clone(),
    }
}

/// What a name comes to, and for how long that holds.
#[derive(Debug)]
struct Found {
    addresses: Vec<IpAddr>,
    holds: Duration,
}

/// The files and name servers of this moment.
fn system() -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError> {
    TokioResolver::builder_tokio()
}

async fn look_up(hostname: &str, mut system: ResolverBuilder<TokioRuntimeProvider>) -> Result<Found, NetError> {
    let options = system.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    (options.timeout, options.attempts) = (LIMIT, 1);
    // What is kept is kept here, with the time for which it holds.
    options.cache_size = 0;
    // The dot at its end keeps the search list out.
    let found = system.build()?.lookup_ip(format!("{hostname}.")).await?;
    let holds = found.valid_until().saturating_duration_since(Instant::now());
    Ok(Found { addresses: found.iter().take(MAX_ADDRESSES).collect(), holds })
}

#[cfg(test)]
mod tests {
    use super::{Found, look_up, sorted, spread};
    use hickory_resolver::TokioResolver;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::NetError;
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;
    use tokio::net::UdpSocket;

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

    /// The time to live of the A records of a name, and its addresses.
    type Zone = (u32, &'static [[u8; 4]]);

    /// Answer as a name server does (RFC 1035 section 4.1), every question alike; AAAA has nothing.
    async fn serve(server: UdpSocket, zone: Zone) {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = server.recv_from(&mut buffer).await {
            // Behind twelve octets of the head: labels up to the empty one, type and class.
            let labels = buffer[12..length].iter().position(|octet| *octet == 0).unwrap();
            let question = &buffer[12..12 + labels + 5];
            let is_a = question[labels + 1..labels + 3] == [0, 1];
            let addresses = if is_a { zone.1 } else { &[] };
            let mut answer =
                vec![buffer[0], buffer[1], 0x81, 0x80, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0];
            answer.extend_from_slice(question);
            for address in addresses {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
                answer.extend_from_slice(&zone.0.to_be_bytes());
                answer.extend_from_slice(&[0, 4]);
                answer.extend_from_slice(address);
            }
            server.send_to(&answer, client).await.unwrap();
        }
    }

    async fn ask(hostname: &str, zone: Zone) -> Result<Found, NetError> {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut connection = ConnectionConfig::udp();
        connection.port = server.local_addr().unwrap().port();
        let name_server = NameServerConfig::new(IpAddr::V4(Ipv4Addr::LOCALHOST), true, vec![connection]);
        let task = tokio::spawn(serve(server, zone));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
        let found =
            look_up(hostname, TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())).await;
        task.abort();
        found
    }

    #[tokio::test]
    async fn an_answer_holds_as_long_as_it_says() {
        let found = ask("shop.example", (7, &[[192, 0, 2, 1], [192, 0, 2, 2]])).await.unwrap();
        assert_eq!(found.addresses, addresses(&["192.0.2.1", "192.0.2.2"]));
        assert!(found.holds > Duration::from_secs(5) && found.holds <= Duration::from_secs(7), "{found:?}");
        // The files of the system come first, and hold for long.
        let local = ask("localhost", (7, &[[192, 0, 2, 1]])).await.unwrap();
        assert!(
            local.addresses.iter().all(IpAddr::is_loopback) && local.holds > Duration::from_secs(3600),
            "{local:?}"
        );
        assert!(ask("nobody.example", (7, &[])).await.is_err());
    }
}
