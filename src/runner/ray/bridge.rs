//! The process that speaks with a Ray cluster: started, waited for, talked to, ended.
//!
//! One thread starts it and reads what it says, one writes what it is told, one keeps the end of its chatter for messages. The first must live as
//! long as the process: the kernel ends the bridge with the thread that started it (`bridge.py`, `die_with`).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::protocol::{Answer, Hello};
use crate::cluster::{ClusterFault, RayOptions};
use crate::error::{Error, Result};

/// The whole bridge, which is handed to the interpreter through its standard input.
const SOURCE: &str = include_str!("bridge.py");

/// Reads the source, and goes on as that.
const LOADER: &str = "import sys; source = sys.stdin.buffer.read(int(sys.argv[1])).decode(); \
     exec(compile(source, 'tickbarn_bridge.py', 'exec')); bridge_main(source)";

/// How much of the end of its chatter is kept.
const CHATTER_BYTES_MAX: usize = 4 * 1024;

/// How long a bridge may take to end after its input has ended.
const END_MAX: Duration = Duration::from_secs(5);

/// How long its chatter may still come after its end.
const LAST_WORDS_MAX: Duration = Duration::from_millis(200);

const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// A bridge that is connected to its cluster, until it is lost or dropped.
pub(super) struct Bridge {
    /// Gone once the bridge is told to end.
    orders: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
    child: Arc<Mutex<Child>>,
    /// Disconnects when the process is reaped.
    reaped: Mutex<mpsc::Receiver<()>>,
    /// Which process started it. One that was forked from that has its memory, but none of its threads.
    process: u32,
    pub(super) address: String,
}

/// Who waits for an answer.
pub(super) enum Waiter {
    /// The answer, and what is dropped once it is given or is known not to come.
    Run(oneshot::Sender<Answer>, mpsc::Sender<()>),
    Question(mpsc::Sender<Answer>),
}

#[derive(Default)]
struct Waiting {
    by_id: HashMap<u64, Waiter>,
    /// Why no answer comes any more.
    lost: Option<String>,
}

/// What the reading thread says first.
enum Begun {
    Ready,
    Not(ClusterFault, String),
}

impl Bridge {
    /// Starts one and waits until it is connected.
    pub(super) fn start(options: &RayOptions) -> Result<Self> {
        let fault = |fault, message: String| Error::Cluster { address: options.address.clone(), fault, message };
        let mut command = Command::new(&options.python);
        // A directory in which no file of the user's can be taken for a module.
        command.args(["-c", LOADER, &SOURCE.len().to_string()]).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let hello = line(&Hello { address: &options.address, parent: process::id() });
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (orders, to_write) = mpsc::channel::<Vec<u8>>();
        let (alive, reaped) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let (begun, begin) = mpsc::channel();
        let attend = {
            let (waiting, python) = (Arc::clone(&waiting), options.python.clone());
            move || {
                let _alive: mpsc::Sender<()> = alive;
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
                let child = Arc::new(Mutex::new(child));
                drop(started.send(Ok(Arc::clone(&child))));
                let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else { return };
                let writer = thread::Builder::new().name("tickbarn-ray-write".to_owned()).spawn(move || {
                    let first = [SOURCE.as_bytes(), &hello].concat();
                    for order in std::iter::once(first).chain(to_write) {
                        if stdin.write_all(&order).is_err() {
                            break;
                        }
                    }
                });
                let chatter = Arc::new(Mutex::new(Vec::new()));
                let (heard, hear) = (Arc::clone(&chatter), stderr);
                let listener = thread::Builder::new().name("tickbarn-ray-log".to_owned()).spawn(move || keep_the_end(hear, &heard));
                if writer.is_ok() {
                    read_answers(BufReader::new(stdout), &waiting, &begun);
                }
                end(&child);
                let until = Instant::now() + LAST_WORDS_MAX;
                while listener.as_ref().is_ok_and(|listener| !listener.is_finished()) && Instant::now() < until {
                    thread::sleep(LOOK_PAUSE);
                }
                let said = last_line(&locked(&chatter));
                // Nobody listens where it had begun.
                drop(begun.send(Begun::Not(
                    ClusterFault::NotStarted,
                    format!("{} ended before it was connected{said}; try `{} -c 'import ray'`", python.display(), python.display()),
                )));
                let mut waiting = locked(&waiting);
                waiting.lost = Some(format!("the process that speaks with it has ended{said}"));
                waiting.by_id.clear();
            }
        };
        let thread = thread::Builder::new().name("tickbarn-ray".to_owned()).spawn(attend);
        thread.map_err(|error| fault(ClusterFault::NotStarted, format!("no thread can be started: {error}")))?;
        let child = match start.recv() {
            Ok(Ok(child)) => child,
            Ok(Err(error)) => return Err(fault(ClusterFault::NotStarted, no_interpreter(&options.python, &error))),
            Err(_) => return Err(Error::Internal { what: "starting the bridge to Ray".to_owned() }),
        };
        let bridge = Self {
            orders: Mutex::new(Some(orders)),
            waiting,
            next: AtomicU64::new(1),
            child,
            reaped: Mutex::new(reaped),
            process: process::id(),
            address: options.address.clone(),
        };
        match begin.recv_timeout(options.start_max) {
            Ok(Begun::Ready) => Ok(bridge),
            Ok(Begun::Not(why, message)) => Err(fault(why, message)),
            Err(_) => {
                bridge.kill();
                let message = format!(
                    "it did not answer within {} s; is it up, and is this machine a node of it? If not, use ray://HOST:10001",
                    options.start_max.as_secs()
                );
                Err(fault(ClusterFault::Unreachable, message))
            }
        }
    }

    /// Whether orders still reach it from this process.
    pub(super) fn is_there(&self) -> bool {
        self.is_ours() && locked(&self.waiting).lost.is_none()
    }

    pub(super) fn is_ours(&self) -> bool {
        self.process == process::id()
    }

    /// A number for an order.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Says who waits for the answer to an order that is about to be given.
    pub(super) fn expect(&self, id: u64, waiter: Waiter) -> Result<()> {
        let mut waiting = locked(&self.waiting);
        if waiting.lost.is_some() {
            drop(waiting);
            return Err(self.lost());
        }
        waiting.by_id.insert(id, waiter);
        Ok(())
    }

    /// Gives the bridge an order. Where it is gone, who waits for the answer is told.
    pub(super) fn order(&self, order: &impl serde::Serialize) {
        if let Some(orders) = &*locked(&self.orders) {
            // Its thread ends with the process, which then counts as lost.
            drop(orders.send(line(order)));
        }
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask<O: serde::Serialize>(&self, order: impl FnOnce(u64) -> O) -> Result<Answer> {
        let (answer, answered) = mpsc::channel();
        let id = self.number();
        self.expect(id, Waiter::Question(answer))?;
        self.order(&order(id));
        answered.recv().map_err(|_| self.lost())
    }

    /// That it is gone, and why.
    pub(super) fn lost(&self) -> Error {
        let why = locked(&self.waiting).lost.clone().unwrap_or_else(|| "the process that speaks with it is gone".to_owned());
        let message = format!("the connection was lost: {why}; its generators were ended, what finished is kept, load again to go on");
        Error::Cluster { address: self.address.clone(), fault: ClusterFault::Lost, message }
    }

    fn kill(&self) {
        if let Err(error) = locked(&self.child).kill() {
            tracing::warn!(%error, "the process that speaks with Ray cannot be ended");
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        // The end of its input.
        drop(locked(&self.orders).take());
        if locked(&self.reaped).recv_timeout(END_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.kill();
        }
    }
}

/// Hands answers to who waits for them, until there are no more.
fn read_answers(lines: impl BufRead, waiting: &Mutex<Waiting>, begun: &mpsc::Sender<Begun>) {
    for line in lines.split(b'\n') {
        let Ok(line) = line else { return };
        match serde_json::from_slice(&line) {
            Ok(Answer::Ready { ray, python }) => {
                tracing::debug!(ray, python, "connected to a Ray cluster");
                drop(begun.send(Begun::Ready));
            }
            Ok(Answer::Fatal { kind, error, python }) => {
                let (fault, message) = explained(&kind, &error, &python);
                drop(begun.send(Begun::Not(fault, message)));
            }
            Ok(answer) => {
                let waiter = answer.id().and_then(|id| locked(waiting).by_id.remove(&id));
                // Nobody listens where the load was given up.
                match waiter {
                    Some(Waiter::Run(run, _over)) => drop(run.send(answer)),
                    Some(Waiter::Question(question)) => drop(question.send(answer)),
                    None => {}
                }
            }
            Err(error) => tracing::warn!(%error, line = %String::from_utf8_lossy(&line), "the bridge to Ray says what is not understood"),
        }
    }
}

/// Waits until the process has ended, or ends it.
fn end(child: &Mutex<Child>) {
    let until = Instant::now() + END_MAX;
    loop {
        match locked(child).try_wait() {
            Ok(None) if Instant::now() < until => {}
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => return,
        }
        thread::sleep(LOOK_PAUSE);
    }
    let mut child = locked(child);
    // What cannot be killed or waited for is nobody's child any more.
    drop(child.kill().and_then(|()| child.wait()));
}

/// What is wrong, and the way out.
fn explained(kind: &str, error: &str, python: &str) -> (ClusterFault, String) {
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
    match kind {
        "no-ray" => (
            ClusterFault::NoRay,
            format!(
                "{python} cannot import ray ({error}); install the cluster's version of it there (pip install ray==VERSION), or name another interpreter"
            ),
        ),
        "version" => (
            ClusterFault::Version,
            format!("{python} does not fit the cluster: {error}; name an interpreter with the cluster's versions of Python and ray"),
        ),
        "unreachable" => (ClusterFault::Unreachable, format!("{error}; is it up, and is this machine a node of it? If not, use ray://HOST:10001")),
        _ => (ClusterFault::NotStarted, format!("{python} could not connect: {error}; is this machine a node of it? If not, use ray://HOST:10001")),
    }
}

fn no_interpreter(python: &Path, error: &std::io::Error) -> String {
    format!("the interpreter {} cannot be started: {error}; name one that has ray installed", python.display())
}

fn keep_the_end(mut from: impl Read, to: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(bytes @ 1..) = from.read(&mut chunk) {
        let mut kept = locked(to);
        kept.extend_from_slice(&chunk[..bytes]);
        let beyond = kept.len().saturating_sub(CHATTER_BYTES_MAX);
        kept.drain(..beyond);
    }
}

/// The last line of its chatter, for a message.
fn last_line(chatter: &[u8]) -> String {
    let text = String::from_utf8_lossy(chatter);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map(|line| format!(" (its last words: {})", line.replace(char::is_control, " "))).unwrap_or_default()
}

fn line(value: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("texts and numbers can be written as JSON");
    line.push(b'\n');
    line
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
