"""tickbarn's way to a Ray cluster. One file, three roles, each a process of its own:

bridge  started by tickbarn under the interpreter that the user names. Takes orders as lines of JSON from standard input, hands each run to
        the cluster as a task, and answers in lines of JSON. The end of its input ends it, and with it everything that it submitted.
worker  a task on some node, in a process of Ray's. It only passes a run on to its keeper and waits.
keeper  a small process beside each worker, which is the parent of the generators. It keeps time, captures output and kills whole process
        groups. It is no child of the worker, has a session of its own, and takes the end of its connection as the order to kill and end: so
        whatever becomes of worker, raylet, bridge or tickbarn, no generator is left.

Outputs do not travel through Ray. A generator writes into its run's directory, on a file system that all nodes share, and tickbarn publishes what
is there. Beside that directory lies one for marks: "started" says where a run began, "ended" that its generator is dead. Once the directory is
gone nobody waits for the run any more, and a keeper that is cut off from everything else ends its generator on seeing that.
"""

import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
READ_BYTES = 64 * 1024
# How long a command that ran into its timeout has between SIGTERM and SIGKILL.
TERM_GRACE_S = 2.0
# How long output is still read after the leader has ended, where a process outside its group holds the pipes open.
DRAIN_S = 0.25
# How long the killed rest of a group may take to be gone.
GROUP_GONE_S = 0.02
# How often a keeper looks whether anybody still waits for its run.
WANTED_EVERY_S = 1.0
# How often to look for a leader's end where the system has no descriptor that tells.
LOOK_S = 0.005
# How often a worker looks up from its keeper, so that a cancellation reaches it.
CANCEL_EVERY_S = 0.05
# How long the end of a killed generator is waited for.
END_S = 2.0
# A program that was written just now may be busy for as long as another process takes to start.
BUSY_TRIES = 10

libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent):
    """Asks the kernel to kill this process with its parent, which may be gone already."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


# ---------------------------------------------------------------------------------------------------------------------------- frames


def send_frame(connection, value):
    text = json.dumps(value).encode()
    connection.sendall(struct.pack("!I", len(text)) + text)


def receive_exactly(connection, count, look_up=None):
    parts = []
    while count:
        while look_up is not None and not select.select([connection], [], [], look_up)[0]:
            pass
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def receive_frame(connection, look_up=None):
    (length,) = struct.unpack("!I", receive_exactly(connection, 4, look_up))
    return json.loads(receive_exactly(connection, length, look_up))


# ---------------------------------------------------------------------------------------------------------------------------- keeper


class Capture:
    """The beginning and the end of what a stream brings, in bounded memory."""

    def __init__(self, head_bytes, tail_bytes):
        self.head, self.tail, self.bytes = bytearray(), bytearray(), 0
        self.head_bytes, self.tail_bytes = head_bytes, tail_bytes

    def push(self, chunk):
        self.bytes += len(chunk)
        room = self.head_bytes - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        self.tail += chunk
        if len(self.tail) > 2 * self.tail_bytes:
            del self.tail[: -self.tail_bytes]

    def told(self):
        tail = self.tail[-self.tail_bytes :]
        # Each byte as the character of its number: JSON holds texts only.
        return {"head": self.head.decode("latin-1"), "tail": tail.decode("latin-1"), "bytes": self.bytes}


class Peak:
    """The most memory that one process of a command held. The kernel's figure cannot be smaller than what the keeper held when it forked; below
    that counts what samples have shown, taken ever more rarely."""

    PROCESSES_MAX = 64

    def __init__(self):
        resident = read_text("/proc/self/statm").split()
        resident = int(resident[1]) * os.sysconf("SC_PAGE_SIZE") if len(resident) > 1 else 0
        self.floor = resident + resident // 64 + (4 << 20)
        self.sampled = None
        self.pause = 0.005
        self.next = time.monotonic() + self.pause

    def sample(self, leader, now):
        if now < self.next:
            return
        waiting, seen = [leader], 0
        while waiting and seen < self.PROCESSES_MAX:
            pid = waiting.pop()
            seen += 1
            for line in read_text(f"/proc/{pid}/status").splitlines():
                if line.startswith("VmHWM:"):
                    self.sampled = max(self.sampled or 0, int(line.split()[1]) * 1024)
            waiting += [int(child) for child in read_text(f"/proc/{pid}/task/{pid}/children").split()]
        self.pause = min(self.pause * 2, 1.0)
        self.next = now + self.pause

    def told(self, usage):
        counted = usage.ru_maxrss * 1024
        return counted if counted > self.floor else self.sampled


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def mark(run, name, text):
    """Where the directory is gone, nobody looks for it any more."""
    try:
        file = os.open(os.path.join(run["marks"], name), os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError:
        return
    try:
        os.write(file, text)
    except OSError:
        pass
    finally:
        os.close(file)


def unfit(run):
    """Why a run must not begin on this node, if it must not."""
    for directory in (run["directory"], run["marks"]):
        if not os.path.isdir(directory):
            return {"fault": {"kind": "store", "path": directory}}
    for path, size, mtime_ns in run["files"]:
        try:
            found = os.stat(path)
        except OSError as error:
            return {"fault": {"kind": "file", "path": path, "reason": os.strerror(error.errno)}}
        if (found.st_size, found.st_mtime_ns) != (size, mtime_ns):
            reason = f"it has {found.st_size} bytes and was modified {found.st_mtime_ns} ns after the epoch, not {size} and {mtime_ns}"
            return {"fault": {"kind": "file", "path": path, "reason": reason}}
    return None


def start_generator(run):
    """Starts it as the leader of a session and group of its own. Gives its number, both streams, and a pipe in which the system's error number
    stands once it has ended without being executed."""
    keeper = os.getpid()
    program = run["program"].encode()
    arguments = [program] + [argument.encode() for argument in run["arguments"]]
    environment = {name.encode(): value.encode() for name, value in run["environment"].items()}
    (out, out_end), (err, err_end), (told, telling) = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            die_with(keeper)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(run["directory"].encode())
            nothing = os.open("/dev/null", os.O_RDONLY)
            for end, number in ((nothing, 0), (out_end, 1), (err_end, 2)):
                os.dup2(end, number)
            os.execve(program, arguments, environment)
        except OSError as error:
            os.write(telling, str(error.errno).encode())
        except ValueError:
            os.write(telling, str(errno.EINVAL).encode())
        finally:
            os._exit(127)
    for end in (out_end, err_end, telling):
        os.close(end)
    return pid, out, err, told


def signal_group(pid, number):
    try:
        os.killpg(pid, number)
    except OSError:
        pass


def keep(run, connection):
    """Runs one generator to its end, whatever that is. Gives what became of it, and whether the connection is still there."""
    fault = unfit(run)
    if fault is not None:
        return fault, True
    pause = 0.001
    for _ in range(BUSY_TRIES):
        told, connected = watch(run, connection)
        if told.get("fault", {}).get("errno") != errno.ETXTBSY or not connected:
            break
        time.sleep(pause)
        pause *= 2
    return told, connected


def watch(run, connection):
    """The same, without a look at the node."""
    began = time.monotonic()
    peak = Peak()
    pid, *outputs, refused = start_generator(run)
    mark(run, "started", json.dumps({"node": run["node"], "address": run["address"], "pid": pid}).encode())
    streams = {stream: Capture(run["head_bytes"], run["tail_bytes"]) for stream in outputs}
    captures = list(streams.values())

    poll = select.poll()
    for stream in streams:
        poll.register(stream, select.POLLIN)
    poll.register(connection, select.POLLIN)
    try:
        exit_fd = os.pidfd_open(pid)
        poll.register(exit_fd, select.POLLIN)
    except (AttributeError, OSError):
        exit_fd = None

    def read(stream):
        chunk = os.read(stream, READ_BYTES)
        if chunk:
            streams[stream].push(chunk)
        else:
            poll.unregister(stream)
            del streams[stream]
            os.close(stream)

    def wait(until):
        """Reads what there is; says whether the connection has ended."""
        for ready, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000):
            if ready in streams:
                read(ready)
            elif ready == connection.fileno() and not connection.recv(1):
                poll.unregister(connection)
                return True
        return False

    until = began + run["timeout_s"] if run["timeout_s"] is not None else float("inf")
    look = began + WANTED_EVERY_S
    phase, timed_out, connected, wanted = "running", False, True, True
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        now = time.monotonic()
        peak.sample(pid, now)
        if phase == "running" and now >= until:
            timed_out, phase, until = True, "terminating", now + TERM_GRACE_S
            signal_group(pid, signal.SIGTERM)
        elif phase == "terminating" and now >= until:
            phase, until = "killed", float("inf")
            signal_group(pid, signal.SIGKILL)
        if now >= look:
            look = now + WANTED_EVERY_S
            wanted = wanted and os.path.isdir(run["marks"])
        if phase != "killed" and not (connected and wanted):
            phase, until = "killed", float("inf")
            signal_group(pid, signal.SIGKILL)
        if wait(min(until, look, peak.next, float("inf") if exit_fd is not None else now + LOOK_S)):
            connected = False
    duration = time.monotonic() - began
    # While the leader is unreaped the kernel gives its number to nobody else.
    signal_group(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    if exit_fd is not None:
        poll.unregister(exit_fd)
        os.close(exit_fd)
    drained = time.monotonic() + DRAIN_S
    while streams and connected and time.monotonic() < drained:
        connected = not wait(drained)
    for stream in list(streams):
        os.close(stream)
    gone = time.monotonic() + GROUP_GONE_S
    while time.monotonic() < gone:
        try:
            os.killpg(pid, 0)
        except OSError:
            break
        time.sleep(0.001)
    mark(run, "ended", b"")
    number = os.read(refused, 64)
    os.close(refused)
    if number:
        return {"fault": {"kind": "spawn", "errno": int(number)}}, connected
    ended = "timed_out" if timed_out else {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}
    if not wanted:
        ended = "unwanted"
    stdout, stderr = (capture.told() for capture in captures)
    told = {"ended": ended, "run_s": duration, "memory_bytes_peak": peak.told(usage), "stdout": stdout, "stderr": stderr}
    return {"finished": {"host": socket.gethostname(), **told}}, connected


def keeper_main(connection):
    # Nobody reads what a keeper itself would say, and nobody types at it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    connected = True
    while connected:
        try:
            run = receive_frame(connection)
        except (EOFError, OSError):
            return
        told, connected = keep(run, connection)
        if connected:
            try:
                send_frame(connection, told)
            except OSError:
                return


# The launcher forks once more and ends, so that the keeper is no child of the worker: Ray kills the children of a worker that it ends, and a
# killed keeper could kill nobody.
LAUNCH = """
import os, socket, struct, sys
connection = socket.socket(fileno=int(sys.argv[1]))
# A generator that held it would keep the end of a keeper from being seen.
connection.set_inheritable(False)
if os.fork():
    os._exit(0)
def take(count):
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            os._exit(1)
        parts += part
    return parts
source = take(struct.unpack("!I", take(4))[0])
names = {"__name__": "tickbarn_keeper"}
exec(compile(source, "tickbarn_bridge.py", "exec"), names)
names["keeper_main"](connection)
"""


# ---------------------------------------------------------------------------------------------------------------------------- worker


class Keeper:
    """The worker's end of the connection to its keeper."""

    def __init__(self, source):
        self.connection, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-S", "-c", LAUNCH, str(theirs.fileno())]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True, cwd="/", **quiet).wait()
        text = source.encode()
        self.connection.sendall(struct.pack("!I", len(text)) + text)

    def run(self, run):
        send_frame(self.connection, run)
        return receive_frame(self.connection, CANCEL_EVERY_S)

    def end(self, run):
        """Lets it kill what it runs, and waits until that is done."""
        self.connection.close()
        until = time.monotonic() + END_S
        while time.monotonic() < until and is_alive(run):
            time.sleep(0.005)


# None, or the one of this worker's process.
KEEPERS = []
# The node of this worker's process.
HERE = {}


def is_alive(run):
    return os.path.exists(os.path.join(run["marks"], "started")) and not os.path.exists(os.path.join(run["marks"], "ended"))


def work(run, source):
    """One task. The keeper stays for the worker's next one."""
    import ray

    run = json.loads(run)
    if not HERE:
        # Asked once: it looks names up.
        HERE.update(node=ray.get_runtime_context().get_node_id(), address=ray.util.get_node_ip_address())
    run.update(HERE)
    for fresh in (False, True):
        keeper = None
        try:
            if not KEEPERS:
                fresh = True
                KEEPERS.append(Keeper(source))
            keeper = KEEPERS[0]
            return {"node": run["node"], "address": run["address"], **keeper.run(run)}
        except (EOFError, OSError):
            KEEPERS.clear()
            if keeper is not None:
                keeper.end(run)
            # One that was killed while it had nothing to do is replaced; one that ran something took that with it.
            if fresh or os.path.exists(os.path.join(run["marks"], "started")):
                return {"fault": {"kind": "keeper"}, "node": run["node"], "address": run["address"]}
        except BaseException:
            KEEPERS.clear()
            if keeper is not None:
                keeper.end(run)
            raise


# ---------------------------------------------------------------------------------------------------------------------------- bridge


class Pending:
    def __init__(self, run, wants, reference, deadline):
        self.run, self.wants, self.reference, self.deadline = run, wants, reference, deadline
        self.cancelled = False
        self.queued_too_long = None
        # Where it began, once that is known, and since when that node has been gone.
        self.node = None
        self.gone_since = None


class Bridge:
    # How long a worker may take to come up and look at the store, at the start.
    LOOK_AT_STORE_S = 30.0
    TICK_S = 0.25
    # How old what is known of the nodes may be.
    NODES_EVERY_S = 5.0
    # How long Ray may take to say itself what became of a run on a node that is gone.
    NODE_GONE_S = 5.0

    def __init__(self, ray, answers, hello, source):
        self.ray, self.answers, self.hello = ray, answers, hello
        self.lock = threading.Lock()
        self.pending = {}
        self.known_nodes, self.nodes_until, self.watch_nodes_at = [], 0.0, 0.0

        # What crosses to the nodes is the source, not this module's objects.
        def tickbarn_run(run):
            import sys
            import types

            module = sys.modules.get("tickbarn_worker")
            if module is None:
                module = types.ModuleType("tickbarn_worker")
                exec(compile(source, "tickbarn_bridge.py", "exec"), module.__dict__)
                sys.modules["tickbarn_worker"] = module
            return module.work(run, source)

        def tickbarn_look(path):
            import os

            return os.path.isdir(path)

        self.task = ray.remote(max_retries=0)(tickbarn_run)
        self.look = ray.remote(max_retries=0, num_cpus=0)(tickbarn_look)

    def answer(self, answer_type, **fields):
        line = json.dumps({"type": answer_type, **fields}).encode() + b"\n"
        with self.lock:
            view = memoryview(line)
            while view:
                view = view[os.write(self.answers, view) :]

    # What the cluster is.

    def nodes(self, fresh=False):
        now = time.monotonic()
        if fresh or now >= self.nodes_until:
            self.known_nodes = [node for node in self.ray.nodes() if node["Alive"]]
            self.nodes_until = now + self.NODES_EVERY_S
        return self.known_nodes

    def totals(self):
        totals = {}
        for node in self.nodes(fresh=True):
            for name, amount in node["Resources"].items():
                totals[name] = totals.get(name, 0.0) + amount
        return totals

    def has_place(self, wants, fresh=False):
        """Whether some node has as much as this in all, be it busy."""
        return any(all(node["Resources"].get(name, 0.0) >= amount for name, amount in wants.items()) for node in self.nodes(fresh))

    def nodes_told(self):
        shown = []
        for node in self.nodes()[:8]:
            names = (name for name in sorted(node["Resources"]) if not name.startswith("node:") and name != "object_store_memory")
            shown.append(f"{node['NodeManagerAddress']}: " + ", ".join(amount_told(name, node["Resources"][name]) for name in names))
        return shown

    def check(self, order):
        """Whether every node that could run something sees a directory."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        looks = {}
        for node in self.nodes(fresh=True):
            if any(not name.startswith("node:") and name not in ("memory", "object_store_memory") for name in node["Resources"]):
                strategy = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
                looks[self.look.options(scheduling_strategy=strategy).remote(order["path"])] = node
        seen, late = self.ray.wait(list(looks), num_returns=len(looks), timeout=self.LOOK_AT_STORE_S) if looks else ([], [])
        blind = []
        for reference in seen:
            try:
                if not self.ray.get(reference):
                    blind.append(told_of(looks[reference]))
            except Exception as error:
                # A node that goes while it is asked runs nothing either.
                sys.stderr.write(f"looking at the store from {told_of(looks[reference])}: {error}\n")
        for reference in late:
            self.ray.cancel(reference, force=True)
        self.answer("checked", id=order["id"], blind=blind, late=[told_of(looks[reference]) for reference in late])

    # Runs.

    def submit(self, order):
        run, wants = order["run"], order["wants"]
        options = {"name": order["label"], "num_cpus": wants.get("CPU", 0)}
        if wants.get("memory"):
            options["memory"] = wants["memory"]
        custom = {name: amount for name, amount in wants.items() if name not in ("CPU", "memory")}
        if custom:
            options["resources"] = custom
        queue_s = order["queue_s"] if self.has_place(wants) else order["unplaceable_s"]
        try:
            reference = self.task.options(**options).remote(json.dumps(run))
        except Exception as error:
            return self.answer("failed", id=order["id"], kind="refused", error=str(error))
        self.pending[order["id"]] = Pending(run, wants, reference, time.monotonic() + queue_s)
        reference.future().add_done_callback(lambda future: self.over(order["id"], future))

    def over(self, id, future):
        pending = self.pending.pop(id, None)
        if pending is None:
            return
        try:
            told = future.result()
        except BaseException as error:
            told = self.failure(pending, error)
        if pending.cancelled or pending.queued_too_long:
            # Whatever it came to: it was to be ended, and who asked is told when it has.
            return threading.Thread(target=self.ended, args=(id, pending), daemon=True).start()
        self.answer("failed" if "kind" in told else "done", id=id, **told)

    def ended(self, id, pending):
        until = time.monotonic() + END_S
        while is_alive(pending.run) and time.monotonic() < until:
            time.sleep(0.005)
        if pending.cancelled:
            self.answer("failed", id=id, kind="cancelled", error="")
        else:
            self.answer("failed", id=id, kind="queue", error=pending.queued_too_long)

    def failure(self, pending, error):
        exceptions = self.ray.exceptions
        kinds = (
            ("cancelled", "TaskCancelledError"),
            ("memory", "OutOfMemoryError"),
            ("node", "NodeDiedError"),
            ("worker", "WorkerCrashedError"),
            ("worker", "LocalRayletDiedError"),
            ("queue", "TaskUnschedulableError"),
            ("environment", "RuntimeEnvSetupError"),
            ("task", "RayTaskError"),
        )
        kind = next((kind for kind, name in kinds if isinstance(error, getattr(exceptions, name, ()))), "other")
        return {"kind": kind, "error": str(error), "address": self.started(pending).get("address")}

    def started(self, pending):
        """What the mark says of where a run began; nothing where it has not."""
        try:
            return json.loads(read_text(os.path.join(pending.run["marks"], "started")))
        except ValueError:
            return {}

    def cancel(self, id):
        pending = self.pending.get(id)
        if pending is None or pending.cancelled:
            # It is over, and that was answered or is about to be.
            return
        pending.cancelled = True
        self.ray.cancel(pending.reference, force=False)
        # What does not heed that, such as a worker that cannot be reached, is ended with its process.
        threading.Timer(END_S / 2, self.insist, args=(id,)).start()

    def insist(self, id):
        pending = self.pending.get(id)
        if pending is not None:
            self.ray.cancel(pending.reference, force=True)

    def watch(self):
        while True:
            time.sleep(self.TICK_S)
            try:
                self.watch_nodes()
                self.watch_queues()
            except Exception as error:
                # What cannot be asked now is asked again.
                sys.stderr.write(f"watching the cluster: {error}\n")

    def watch_nodes(self):
        """Gives up what runs on nodes that are gone. Where a process there still holds its connections open, Ray waits for it for minutes."""
        now = time.monotonic()
        if not self.pending or now < self.watch_nodes_at:
            return
        self.watch_nodes_at = now + self.NODES_EVERY_S
        alive = {node["NodeID"] for node in self.nodes(fresh=True)}
        for id, pending in list(self.pending.items()):
            started = self.started(pending) if pending.node is None else {}
            pending.node = pending.node or started.get("node")
            if pending.node is None or pending.node in alive:
                pending.gone_since = None
            elif pending.gone_since is None:
                pending.gone_since = now
            elif now - pending.gone_since >= self.NODE_GONE_S and self.pending.pop(id, None) is not None:
                kind = "cancelled" if pending.cancelled else "node"
                self.answer("failed", id=id, kind=kind, error="", address=self.started(pending).get("address"))

    def watch_queues(self):
        """Gives up what has waited too long for a place."""
        now = time.monotonic()
        for id, pending in list(self.pending.items()):
            if now < pending.deadline or pending.cancelled or pending.queued_too_long:
                continue
            if os.path.exists(os.path.join(pending.run["marks"], "started")):
                pending.deadline = float("inf")
                continue
            wanted = ", ".join(amount_told(name, amount) for name, amount in sorted(pending.wants.items()))
            lead = "no place was free" if self.has_place(pending.wants, fresh=True) else "no node of the cluster has"
            pending.queued_too_long = f"{lead} {wanted or 'for it'}; the nodes are {'; '.join(self.nodes_told()) or 'none'}"
            self.ray.cancel(pending.reference, force=False)

    def serve(self, lines):
        threading.Thread(target=self.watch, daemon=True).start()
        self.answer("ready", ray=self.ray.__version__, python=".".join(map(str, sys.version_info[:3])))
        for line in lines:
            order = json.loads(line)
            if order["op"] == "submit":
                self.submit(order)
            elif order["op"] == "cancel":
                self.cancel(order["id"])
            elif order["op"] == "totals":
                self.answer("totals", id=order["id"], totals=self.totals())
            elif order["op"] == "check":
                threading.Thread(target=self.check, args=(order,), daemon=True).start()


def amount_told(name, amount):
    if name == "memory":
        return f"memory {amount / (1 << 30):.2f} GiB"
    return f"{name} {amount:g}"


def told_of(node):
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def kind_of_start(error):
    text = str(error)
    if "ersion mismatch" in text or "different Python" in text:
        return "version"
    if isinstance(error, ConnectionError) or "ould not find any running Ray" in text:
        return "unreachable"
    return "start"


def bridge_main(source):
    # What Ray prints must not come between the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    lines = sys.stdin.buffer
    hello = json.loads(lines.readline())
    die_with(hello["parent"])

    def fatal(kind, error):
        line = json.dumps({"type": "fatal", "kind": kind, "error": str(error), "python": sys.executable}).encode() + b"\n"
        os.write(answers, line)
        os._exit(1)

    # A driver tells nobody of itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
        import ray.util
    except Exception as error:
        fatal("no-ray", f"{type(error).__name__}: {error}")
    try:
        ray.init(address=hello["address"], namespace="tickbarn", log_to_driver=False, logging_level="ERROR")
    except BaseException as error:
        fatal(kind_of_start(error), f"{type(error).__name__}: {error}")
    Bridge(ray, answers, hello, source).serve(lines)
    # Ray ends the workers of a driver that is gone, and keepers what those ran.
    ray.shutdown()
    os._exit(0)
