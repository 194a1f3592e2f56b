//! Running commands on a Ray cluster.
//!
//! This process claims, validates, hashes and publishes as for a local run; only where the command runs differs. It speaks with the cluster through
//! one long-lived process (`bridge.rs` here, `bridge.py` there), which hands each run to Ray as a task. Ray repeats nothing by itself: attempts are
//! counted here, and each has directories of its own, so that a generator on a node that was believed dead can write into nothing that is read.
//!
//! Beside a run's directory lies one for marks, by which nodes and bridge tell each other on the shared file system what Ray does not: that a run has
//! begun, that its generator is dead, and, by their absence, that nobody waits for it any more.

mod bridge;
mod outcome;
mod protocol;

use std::collections::{BTreeMap, HashSet};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::bridge::{Bridge, Waiter, locked};
use self::protocol::{Answer, Order, RunOrder};
use super::{BoxFuture, Elsewhere, Finished, LOG_HEAD_BYTES_MAX, LOG_TAIL_BYTES_MAX, Run, RunError, Runner, STOP_WAIT_MAX};
use crate::cluster::{ClusterFault, RayOptions};
use crate::error::{Error, Result};
use crate::failure::{Failure, FailureClass};
use crate::interval::Time;

/// How long a cluster's port may take to answer before anything is started. Ray itself would wait for minutes.
const PORT_MAX: Duration = Duration::from_secs(5);

/// The port of a `ray://` address that names none.
const CLIENT_PORT: u16 = 10_001;

/// How long a run may wait for a place where nothing else is said.
const QUEUE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The same where no node of the cluster has what the run takes.
const UNPLACEABLE_MAX: Duration = Duration::from_secs(60);

/// A Ray cluster that loads run their commands on: [`Load::runner`](crate::Load::runner). Cloning is cheap and shares the connection, which ends with
/// the last clone.
///
/// Each run of a generator is a Ray task that takes the processors, memory and [cluster resources](crate::DatasetBuilder::cluster_resource) of its
/// dataset; one that declares no processors takes one. Its command runs there with the environment, directory, timeout and limits of a local run. The
/// store must lie on a file system that every node mounts at the same path, and programs and inputs must be the same files on every node.
///
/// ```no_run
/// # fn main() -> tickbarn::Result<()> {
/// use tickbarn::{DatasetFile, Interval, Ray, Store};
///
/// let file = DatasetFile::read("/shared/tickbarn.toml")?;
/// let january = Interval::parse("2024-01-01", "2024-02-01")?;
/// let load = Store::open("/shared/barn")?.load().request(file.dataset("md")?, &"binance/BTC-USDT".parse()?, january);
/// let loaded = load.runner(Ray::connect("127.0.0.1:6379")?).blocking()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Ray(Arc<Inner>);

struct Inner {
    options: RayOptions,
    bridge: Mutex<Option<Connected>>,
}

#[derive(Clone)]
struct Connected {
    bridge: Arc<Bridge>,
    /// The directories that every node was found to see.
    seen: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Ray {
    /// Connects to a cluster: by its address, see [`RayOptions::new`], or with more options. Takes some seconds.
    ///
    /// # Errors
    /// [`Error::Cluster`] with what is at fault.
    pub fn connect(options: impl Into<RayOptions>) -> Result<Self> {
        let ray = Self::on_demand(options);
        ray.connected()?;
        Ok(ray)
    }

    /// The same, connected when a load first runs a command: one that finds everything in its store needs no cluster.
    pub fn on_demand(options: impl Into<RayOptions>) -> Self {
        Self(Arc::new(Inner { options: options.into(), bridge: Mutex::default() }))
    }

    /// How the cluster is reached and used.
    pub fn options(&self) -> &RayOptions {
        &self.0.options
    }

    /// The connection: the one that there is, or, where there is none or it was lost, a new one.
    fn connected(&self) -> Result<Connected> {
        let mut held = locked(&self.0.bridge);
        if let Some(connected) = held.as_ref().filter(|connected| connected.bridge.is_there()) {
            return Ok(connected.clone());
        }
        answers(&self.0.options.address)?;
        let connected = Connected { bridge: Arc::new(Bridge::start(&self.0.options)?), seen: Arc::default() };
        Ok(held.insert(connected).clone())
    }
}

impl std::fmt::Debug for Ray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ray").field(&self.0.options).finish()
    }
}

/// Refuses an address whose port nobody answers at.
fn answers(address: &str) -> Result<()> {
    let fault = |message: String| Err(Error::Cluster { address: address.to_owned(), fault: ClusterFault::Unreachable, message });
    if address == "auto" {
        return Ok(());
    }
    let (place, client) = address.strip_prefix("ray://").map_or((address, false), |place| (place, true));
    let with_port = if client && !place.contains(':') { format!("{place}:{CLIENT_PORT}") } else { place.to_owned() };
    let found = match with_port.to_socket_addrs() {
        Ok(found) => found,
        Err(error) => return fault(format!("it is no address: {error}; write auto, HOST:PORT or ray://HOST:PORT")),
    };
    let mut last = "the name has no address".to_owned();
    for socket in found {
        match TcpStream::connect_timeout(&socket, PORT_MAX) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    fault(format!("nobody answers there ({last}); is the cluster up, and is this its address?"))
}

/// What all runs of one load on a cluster share.
pub(crate) struct OnRay {
    ray: Ray,
    bridge: Mutex<Option<Arc<Bridge>>>,
    in_flight: Arc<Mutex<HashSet<u64>>>,
}

impl OnRay {
    pub(crate) fn new(ray: Ray) -> Self {
        Self { ray, bridge: Mutex::default(), in_flight: Arc::default() }
    }

    /// Connects, lets every node look whether it sees a directory of the store, and gives what the cluster has in all, by Ray's names.
    pub(crate) fn begin(&self, directory: &Path) -> Result<BTreeMap<String, f64>> {
        let Connected { bridge, seen } = self.ray.connected()?;
        let unexpected = || Error::Internal { what: "asking the bridge to Ray".to_owned() };
        if !locked(&seen).contains(directory) {
            let path = utf8(directory).map_err(|message| self.fault(ClusterFault::StoreNotShared, message))?;
            let Answer::Checked { blind, late, .. } = bridge.ask(|id| Order::Check { id, path })? else { return Err(unexpected()) };
            if !late.is_empty() {
                tracing::warn!(nodes = late.join(", "), "did not say in time whether they see the store; what runs there looks for itself");
            }
            if !blind.is_empty() {
                let message = format!(
                    "{} of its nodes do not see {path}: {}; the store must lie on a file system that every node mounts at the same path",
                    blind.len(),
                    blind.join(", ")
                );
                return Err(self.fault(ClusterFault::StoreNotShared, message));
            }
            if late.is_empty() {
                locked(&seen).insert(directory.to_path_buf());
            }
        }
        let Answer::Totals { totals, .. } = bridge.ask(|id| Order::Totals { id })? else { return Err(unexpected()) };
        *locked(&self.bridge) = Some(bridge);
        Ok(totals)
    }

    fn fault(&self, fault: ClusterFault, message: String) -> Error {
        Error::Cluster { address: self.ray.0.options.address.clone(), fault, message }
    }

    async fn submit(&self, run: Run) -> Result<Finished, RunError> {
        let bug = || RunError::Cluster(Error::Internal { what: "running a command on a cluster that is not connected".to_owned() });
        let bridge = locked(&self.bridge).clone().ok_or_else(bug)?;
        let elsewhere = run.elsewhere.as_ref().ok_or_else(bug)?;
        let (answer, answered) = oneshot::channel();
        let (submitted, since) = (Time::now(), Instant::now());
        let (alive, over) = mpsc::channel();
        let id = bridge.number();
        let order = self.order(id, &run, elsewhere).map_err(|message| RunError::Failed(Failure::new(FailureClass::Spawn, message)))?;
        bridge.expect(id, Waiter::Run(answer, alive)).map_err(RunError::Cluster)?;
        locked(&self.in_flight).insert(id);
        let mut cancel = CancelOnDrop {
            id,
            bridge: Arc::clone(&bridge),
            in_flight: Arc::clone(&self.in_flight),
            answered: false,
            process: process::id(),
            over: Mutex::new(over),
        };
        bridge.order(&order);
        let answer = answered.await;
        cancel.answered = true;
        match answer {
            Ok(answer) => outcome::of(&run, answer, submitted, since.elapsed()),
            Err(_) => Err(RunError::Cluster(bridge.lost())),
        }
    }

    fn order<'a>(&self, id: u64, run: &'a Run, elsewhere: &'a Elsewhere) -> Result<Order<'a>, String> {
        let options = &self.ray.0.options;
        let queue_max = options.queue_max.unwrap_or(QUEUE_MAX);
        Ok(Order::Submit {
            id,
            label: &elsewhere.label,
            wants: &elsewhere.wants,
            queue_s: queue_max.as_secs_f64(),
            unplaceable_s: options.queue_max.unwrap_or(UNPLACEABLE_MAX).as_secs_f64(),
            run: RunOrder {
                program: utf8(&run.program)?,
                arguments: &run.arguments,
                environment: &run.environment,
                directory: utf8(&run.directory)?,
                marks: utf8(&elsewhere.marks)?,
                timeout_s: run.timeout.map(|timeout| timeout.as_secs_f64()),
                files: elsewhere.files.iter().map(|(path, size, mtime_ns)| Ok((utf8(path)?, *size, *mtime_ns))).collect::<Result<_, String>>()?,
                head_bytes: LOG_HEAD_BYTES_MAX,
                tail_bytes: LOG_TAIL_BYTES_MAX,
            },
        })
    }
}

impl Runner for OnRay {
    fn run(&self, run: Run) -> BoxFuture<'_, Result<Finished, RunError>> {
        Box::pin(self.submit(run))
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    fn stop_all(&self) {
        let Some(bridge) = locked(&self.bridge).clone().filter(|bridge| bridge.is_ours()) else { return };
        let ids: Vec<u64> = locked(&self.in_flight).iter().copied().collect();
        ids.into_iter().for_each(|id| bridge.order(&Order::Cancel { id }));
    }
}

/// Ends the run when its future is dropped before the answer, and waits until that is done.
struct CancelOnDrop {
    id: u64,
    bridge: Arc<Bridge>,
    in_flight: Arc<Mutex<HashSet<u64>>>,
    answered: bool,
    /// Which process handed it over: see `runner/local.rs`.
    process: u32,
    /// Disconnects once the bridge has answered, or is gone.
    over: Mutex<mpsc::Receiver<()>>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        locked(&self.in_flight).remove(&self.id);
        if self.answered || self.process != process::id() {
            return;
        }
        self.bridge.order(&Order::Cancel { id: self.id });
        if locked(&self.over).recv_timeout(STOP_WAIT_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("a generator on the cluster was not known to be dead {} s after it was cancelled", STOP_WAIT_MAX.as_secs());
        }
    }
}

fn utf8(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8, which a path on a cluster must be; rename it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_where_nobody_answers_is_refused_at_once() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
        for (address, said) in [
            (format!("127.0.0.1:{}", free.port()), "nobody answers there"),
            (format!("ray://127.0.0.1:{}", free.port()), "nobody answers there"),
            ("127.0.0.1".to_owned(), "it is no address"),
        ] {
            let Err(Error::Cluster { fault, message, .. }) = answers(&address) else { panic!("{address} was not refused") };
            assert_eq!(fault, ClusterFault::Unreachable);
            assert!(message.contains(said), "{message}");
        }
        assert!(answers("auto").is_ok());
    }

    #[test]
    fn an_interpreter_that_cannot_serve_says_why() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("its address").to_string();
        let refused = |python: &str| match Ray::connect(RayOptions::new(&address).python(python)) {
            Err(Error::Cluster { fault, message, .. }) => (fault, message),
            other => panic!("{other:?}"),
        };
        let (fault, message) = refused("/nowhere/python");
        assert!(fault == ClusterFault::NotStarted && message.contains("/nowhere/python"), "{message}");
        let (fault, message) = refused("/bin/false");
        assert!(fault == ClusterFault::NotStarted && message.contains("ended before it was connected"), "{message}");
    }
}
