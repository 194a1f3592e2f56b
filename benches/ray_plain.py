"""The plain way to run a process many times on a Ray cluster. Arguments: address, runs, runs in flight, program and its arguments, to the last of
which each run appends its number. Prints the seconds that it took, without those to connect and to start the workers."""

import subprocess
import sys
import time

import ray

address, runs, in_flight, program, *arguments = sys.argv[1:]
runs, in_flight = int(runs), int(in_flight)
ray.init(address=address, log_to_driver=False, logging_level="ERROR")


@ray.remote(max_retries=0)
def run(nth):
    command = [program, *arguments[:-1], f"{arguments[-1]}-{nth}"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return finished.returncode, finished.stdout, finished.stderr


def all_of(count):
    waiting = [run.remote(nth) for nth in range(min(in_flight, count))]
    for nth in range(len(waiting), count):
        (done,), waiting = ray.wait(waiting)
        ray.get(done)
        waiting.append(run.remote(nth))
    ray.get(waiting)


all_of(50)
began = time.perf_counter()
all_of(runs)
print(time.perf_counter() - began)
