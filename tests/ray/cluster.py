"""A Ray cluster of several raylets on this machine, for the tests: to be run inside a network namespace of its own.

Its arguments are nodes, NAME=CPUS; each has 100 of a resource of its own name. Prints a line of JSON with the cluster's
address once it is there. Then obeys lines of standard input, and answers each with a line of JSON:

    add NAME CPUS          another node
    other NAME COMMAND     another node of one processor, in a mount namespace in which a shell command was run before
    kill NAME              ends a node's raylet
    behead NAME            ends the server that a head node is the head by; there is no cluster any more

Ends, with what it started, at the end of its input.
"""

import json
import os
import subprocess
import sys
import time

# Nothing here is told to anybody.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
answers = os.dup(1)
os.dup2(2, 1)

import ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

# A node that does not answer counts as dead, and a head as gone, after some seconds rather than a minute.
SYSTEM = {
    "gcs_rpc_server_reconnect_timeout_s": 15,
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 5,
}


def answer(**fields):
    os.write(answers, json.dumps(fields).encode() + b"\n")


def options(name, cpus):
    small = {"memory": 4 << 30, "object_store_memory": 80 << 20, "include_dashboard": False}
    # On a node called "tight" all memory counts as used up, so that Ray's memory monitor ends whatever runs there.
    tight = {"env_vars": {"RAY_memory_usage_threshold": "0.001"}} if name == "tight" else {}
    return {"num_cpus": cpus, "resources": {name: 100}, **small, **tight}


def raylet_of(node):
    return node.all_processes["raylet"][0].process


class Nodes:
    def __init__(self, wanted):
        (head, cpus), *others = wanted.items()
        self.cluster = Cluster(initialize_head=True, head_node_args={**options(head, cpus), "_system_config": SYSTEM})
        self.nodes = {head: self.cluster.head_node}
        for name, cpus in others:
            self.nodes[name] = self.cluster.add_node(wait=False, **options(name, cpus))
        self.cluster.wait_for_nodes()

    def add(self, name, cpus):
        self.nodes[name] = self.cluster.add_node(**options(name, int(cpus)))
        return raylet_of(self.nodes[name]).pid

    def other(self, name, command):
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={self.cluster.address}", "--block", "--num-cpus=1"]
        start += ["--object-store-memory", str(80 << 20), "--memory", str(4 << 30), "--resources", json.dumps({name: 100}), "--disable-usage-stats"]
        subprocess.Popen(["unshare", "--mount", "sh", "-ec", command + '\nexec "$0" "$@"', *start], stdin=subprocess.DEVNULL)
        if not ray.is_initialized():
            ray.init(address=self.cluster.address, log_to_driver=False, logging_level="ERROR")
        until = time.monotonic() + 60
        while name not in ray.cluster_resources():
            if time.monotonic() > until:
                raise TimeoutError(f"{name} did not join the cluster")
            time.sleep(0.2)

    def kill(self, name):
        process = raylet_of(self.nodes[name])
        process.kill()
        # Unreaped it would count as alive.
        process.wait()

    def behead(self, name):
        self.nodes[name].kill_gcs_server()


def main():
    nodes = Nodes({name: int(cpus) for name, cpus in (word.split("=") for word in sys.argv[1:])})
    answer(address=nodes.cluster.address)
    for line in sys.stdin:
        order, name, *rest = line.strip().split(" ", 2)
        answer(done=order, raylet=getattr(nodes, order)(name, *rest))
    nodes.cluster.shutdown()


main()
