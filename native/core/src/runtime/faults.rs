//! Faults of the gateway itself: what panics is told, counted and begun anew, as nginx's master does with its workers.
//!
//! A connection that panics ends alone. What takes connections, looks after the pools or carries out commands must not end:
//! a listening socket without anybody who accepts gets its share of the clients all the same, and they wait for nothing.

use crate::worker::{Shared, Worker};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::time::Duration;

/// Before what has panicked begins anew. Stops a fault that comes at once, each time, from taking the processor.
pub const PAUSE: Duration = Duration::from_millis(250);

/// Do what `begin` says until it ends by itself.
pub async fn survive<Output>(worker: &Worker, what: &str, mut begin: impl AsyncFnMut() -> Output) -> Output {
    loop {
        match caught(pin!(begin())).await {
            Ok(output) => return output,
            Err(panic) => tell(&worker.shared, worker.id, what, &*panic),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a panic says.
type Panic = Box<dyn Any + Send>;

async fn caught<Output>(mut work: Pin<&mut impl Future<Output = Output>>) -> Result<Output, Panic> {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}

/// Tell the operator; where it happened is on standard error.
pub fn tell(shared: &Shared, worker: usize, what: &str, panic: &(dyn Any + Send)) {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    shared.registry.worker(worker).fault();
    shared.events.push(
        "worker_fault",
        format!(
            "worker {worker}: {what} ended in a fault of the gateway and begins anew: {}; please report it",
            said.unwrap_or("(nothing was said)")
        ),
    );
}

#[cfg(test)]
mod tests {
    use crate::runtime::Engine;
    use crate::runtime::engine::Patience;
    use crate::runtime::thread::Command;
    use crate::settings::Settings;
    use serde_json::json;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    /// Never reached by an engine that works.
    const LIMIT: Duration = Duration::from_secs(30);

    /// An engine with one worker, and where it listens.
    fn engine() -> (Engine, SocketAddr) {
        let mut engine = Engine::start(Settings { workers: 1, ..Settings::default() }).expect("an engine");
        let listener = json!({
            "id": "l", "gateway": "a/g", "addresses": ["127.0.0.1"], "port": 80, "bind_port": 0, "protocol": "HTTP",
        });
        let transaction = json!({"version": route::ir::VERSION, "generation": 1, "upsert": {"listeners": [listener]}});
        let report = engine.apply(transaction.to_string().as_bytes()).expect("a report");
        let address = report.listeners[0].bound[0];
        (engine, address)
    }

    /// What a client gets; nothing where its connection ends.
    fn answer(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut answer = String::new();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    }

    fn fault(engine: &Engine) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(event) = engine.shared().events.take(1).pop() {
                assert_eq!(event.code, "worker_fault");
                return event.message;
            }
            assert!(Instant::now() < deadline, "nobody was told");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_worker_begins_anew_with_its_sockets() {
        let (mut engine, address) = engine();
        assert_eq!(answer(address), "HTTP/1.1 404 Not Found");
        let mut open = TcpStream::connect(address).expect("a connection");
        for faults in 1..=3 {
            engine.command(Command::Panic);
            let message = fault(&engine);
            assert_eq!(
                message,
                "worker 0: a thread ended in a fault of the gateway and begins anew: as asked; please report it"
            );
            // Who comes meanwhile waits in the kernel.
            assert_eq!(answer(address), "HTTP/1.1 404 Not Found");
            let metrics = engine.shared().registry.render(0, 0);
            assert!(metrics.contains(&format!("sluicegate_worker_faults_total {faults}\n")), "{metrics}");
        }
        open.set_read_timeout(Some(LIMIT)).expect("a limit");
        assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)), "its connections are gone");
        let patience = Patience { settle: Duration::ZERO, settle_alone: false, limit: LIMIT };
        assert!(engine.leave().wait(patience));
        assert!(TcpStream::connect(address).is_err());
    }

    /// A drain that has begun goes on.
    #[test]
    fn a_worker_that_closes_opens_nothing() {
        let (engine, address) = engine();
        engine.command(Command::Refuse);
        engine.command(Command::Panic);
        fault(&engine);
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "it still takes connections");
            std::thread::yield_now();
        }
    }

    #[test]
    fn accepts_go_on_and_connections_with_them() {
        let (engine, address) = engine();
        let mut open = TcpStream::connect(address).expect("a connection");
        open.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
        assert!(open.read(&mut [0; 1024]).expect("an answer") > 0);
        engine.command(Command::PanicAtNextAccept);
        let deadline = Instant::now() + LIMIT;
        while !answer(address).is_empty() {
            assert!(Instant::now() < deadline, "nothing has panicked");
        }
        assert!(fault(&engine).starts_with("worker 0: taking connections ended in a fault"));
        assert_eq!(answer(address), "HTTP/1.1 404 Not Found");
        open.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
        assert!(open.read(&mut [0; 1024]).expect("an answer") > 0);
    }
}
