//! Figures of the process, under the names that all clients of Prometheus give them. What the system does not tell is left out.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{SysconfVar, sysconf};
use std::fmt::Write;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

/// Write them down.
pub fn render(text: &mut String) {
    tell(text, "process_cpu_seconds_total", "counter", "CPU time of the process.", cpu_seconds());
    tell(text, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
    let start = "When the process began, seconds since 1970.";
    tell(text, "process_start_time_seconds", "gauge", start, start_seconds());
    tell(text, "process_open_fds", "gauge", "Descriptors that are open.", open_descriptors());
    tell(text, "process_max_fds", "gauge", "Descriptors that may be open.", most_descriptors());
}

fn tell(text: &mut String, name: &str, kind: &str, help: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(Duration::from_micros(u64::try_from(microseconds).ok()?).as_secs_f64())
}

fn configured(variable: SysconfVar) -> Option<u64> {
    u64::try_from(sysconf(variable).ok()??).ok()
}

fn resident_bytes() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * configured(SysconfVar::PAGE_SIZE)?)
}

/// It stays what it is: looked up once.
fn start_seconds() -> Option<f64> {
    static START: OnceLock<Option<f64>> = OnceLock::new();
    *START.get_or_init(|| {
        let (own, system) = (fs::read_to_string("/proc/self/stat").ok()?, fs::read_to_string("/proc/stat").ok()?);
        started(&own, &system, configured(SysconfVar::CLK_TCK)?)
    })
}

/// When a process began, of its line and those of the system (`proc(5)`): clock ticks behind the start of the machine.
fn started(own: &str, system: &str, ticks_per_second: u64) -> Option<f64> {
    // The name of the program is the second field, and may be anything.
    let (_, behind_name) = own.rsplit_once(')')?;
    let ticks: u64 = behind_name.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    let milliseconds = ticks.checked_mul(1000)?.checked_div(ticks_per_second)?;
    Some((Duration::from_secs(boot) + Duration::from_millis(milliseconds)).as_secs_f64())
}

fn open_descriptors() -> Option<usize> {
    // One of them is the one that reads.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1))
}

fn most_descriptors() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::{render, started};
    use std::fs::File;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn value(name: &str) -> f64 {
        let mut text = String::new();
        render(&mut text);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }

    /// Held against what this process knows of itself.
    #[test]
    fn figures_of_this_process() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 3_600.0..=now + 1.0).contains(&value("process_start_time_seconds")));
        let before = value("process_resident_memory_bytes");
        let filled = vec![1_u8; 64 << 20];
        assert!(value("process_resident_memory_bytes") > before + 32e6, "{}", filled.len());
        let open = value("process_open_fds");
        let files: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(value("process_open_fds") > open + 50.0, "{}", files.len());
        assert!(value("process_max_fds") >= value("process_open_fds"));
        let used = value("process_cpu_seconds_total");
        let turns = (0..10_000_000_u64).fold(0, |sum: u64, turn| std::hint::black_box(sum.wrapping_mul(31) ^ turn));
        assert!(value("process_cpu_seconds_total") > used, "{turns}");
    }

    #[test]
    fn the_start_of_a_process_with_an_odd_name() {
        let own = format!("7 (a ) (b) S {} 12345 0", ["0"; 18].join(" "));
        assert_eq!(started(&own, "cpu 1\nbtime 1000\nprocesses 3\n", 100), Some(1123.45));
        assert_eq!(started("7", "btime 1000\n", 100), None);
        assert_eq!(started(&own, "cpu 1\n", 100), None);
    }
}
