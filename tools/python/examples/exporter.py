"""What the example scripts share: the sample exporter and its two datasets, their flags, what is said while a load runs, and how a script ends.

Both scripts define ``md`` and ``features`` here and nowhere else. An address is made of the whole definition, so that one which differed in a single argument
would find nothing of what the other script made.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import tickbarn

MODES = ("Default", "Read", "ReadIgnoreErrors", "Write", "WriteIgnoreErrors")
_MODES_THAT_SKIP = ("Default", "ReadIgnoreErrors", "WriteIgnoreErrors")
_TELL_S = 5.0

DIRECTORY = Path("tickbarn-examples")
"""Below the current directory: where the configuration lies, and the stores unless other directories are named."""

RUN_CONFIG = ("configs/run_config.json", '{\n  "feed": {"kind": "simulated"}\n}\n')
"""Which feed the exporter replays. Its content is in the key, where it lies is not."""

SIMULATION_CONFIG = (
    "configs/simulation_config.json",
    """\
{
  "seed": 1,
  "events_per_second": 0.25,
  "trade_share": 0.15,
  "volatility": 0.02,
  "orders_per_side": 200
}
""",
)
"""How the simulated market behaves. In the key, too: another seed is another history."""

INTERVALS = (
    "intervals.json",
    """\
[
  {"instrument": {"market": "binance", "pair": "BTC-USDT"}, "start": "2024-01-01", "end": "2024-01-03"},
  {"instrument": {"market": "binance", "pair": "ETH-USDT"}, "start": "2024-01-02", "end": "2024-01-04"},
  {"instrument": {"market": "glbx", "pair": "ESH4"}, "start": "2024-01-02T12:00:00Z", "end": "2024-01-03T12:00:00Z"}
]
""",
)
"""What is exported where no intervals file is named."""

EXIT_CODES = """\
exit status:
  0    done as the mode asks for, which may leave out what is missing or fails
  1    the mode does not leave out what is missing or failed; no build; no store
  2    the flags, the intervals file or the configuration are not right
  130  interrupted by Ctrl-C; what was finished is kept
"""


class UsageError(Exception):
    """What was asked for cannot be done, and its user can say it otherwise."""


class BuildError(Exception):
    """There is no exporter to run."""


class Arguments(argparse.ArgumentParser):
    """A parser with the flags that both scripts have. Flags are not abbreviated: scripts that were written once go on to mean the same."""

    def __init__(self, description: str | None) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(description=description, epilog=EXIT_CODES, formatter_class=form, allow_abbrev=False)

    def add_intervals(self, jobs: int) -> None:
        """What is worked through, and how."""
        self.add_argument(
            "--intervals",
            metavar="FILE",
            type=Path,
            help='instruments and intervals: a JSON list of {"instrument": {"market", "pair"}, "start", "end"}; without it a few days of three instruments',
        )
        self.add_argument(
            "--mode",
            choices=MODES,
            metavar="MODE",
            default="Default",
            help="Default: make what is missing, leave out what fails; Read: fail where something is missing; ReadIgnoreErrors: leave out what is missing; "
            "Write: make everything anew, fail where something fails; WriteIgnoreErrors: make everything anew, leave out what fails (default: Default)",
        )
        self.add_argument("--jobs", metavar="N", type=positive, default=jobs, help="how many partitions are made at once (default: %(default)s)")
        self.add_argument(
            "--verbose",
            metavar="N",
            type=int,
            choices=range(4),
            default=2,
            help="on standard error, 0: failures; 1: also the counts; 2: also what is made or missing; 3: also what is found (default: %(default)s)",
        )

    def add_exporter(self) -> None:
        """Which exporter makes market data and features."""
        self.add_argument("--no-build", action="store_true", help="use the sample exporter as it was last built")
        self.add_argument("--exporter", metavar="PROGRAM", type=Path, help="use this program rather than the sample exporter; nothing is built then")

    def add_storage(self, flag: str, what: str) -> None:
        """A directory of stores."""
        self.add_argument(flag, metavar="DIR", type=Path, default=DIRECTORY, help=f"the directory of the stores of {what} (default: %(default)s)")


def positive(text: str) -> int:
    """A number of jobs."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number


def store_of(storage: Path, name: str) -> tickbarn.Store:
    """The store of a name, in the directory of stores."""
    if name in ("", ".", "..") or "/" in name:
        raise UsageError(f"a store's name is one part of a path, and {name!r} is not; give the directory by --md-storage and --ft-storage")
    return tickbarn.Store(storage / name, progress=False)


def intervals(given: Path | None) -> Path:
    """The intervals file that was named, or the examples' own."""
    return written(INTERVALS) if given is None else given


def program(exporter: Path | None, *, build: bool) -> Path:
    """The exporter that was named, or the sample exporter, which is built first if asked for."""
    if exporter is not None:
        if not exporter.is_file():
            raise UsageError(f"there is no exporter at {exporter}; --exporter names a program")
        return exporter.resolve()
    root = Path(__file__).resolve().parents[3]
    target = Path(os.environ.get("CARGO_TARGET_DIR") or root / "target").resolve()
    sample = target / "release" / "tickbarn-exporter"
    if build:
        build_exporter(root, target)
    if not sample.is_file():
        raise BuildError(f"there is no exporter at {sample}; leave out --no-build, or name one by --exporter")
    return sample


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts Ctrl-C off until what has begun here is done: a process that was just started must be known to whoever ends it."""
    come: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: come.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if come:
        raise KeyboardInterrupt


def build_exporter(root: Path, target: Path) -> None:
    """Builds the sample exporter from the sources beside this script."""
    if not (root / "tools" / "exporter" / "Cargo.toml").is_file():
        raise BuildError(f"there are no sources of the exporter below {root}; run this script in a clone, or name a program by --exporter")
    cargo = [os.environ.get("CARGO", "cargo"), "build", "--quiet", "--locked", "--release", "--package", "tickbarn-exporter"]
    cargo += ["--manifest-path", str(root / "Cargo.toml"), "--target-dir", str(target)]
    say("building the exporter; the first time that takes some minutes")
    building = None
    try:
        with uninterrupted():
            # A group of its own, so that the compilers that it starts end with it.
            building = subprocess.Popen(cargo, start_new_session=True)
        # Not in one wait: Polars answers Ctrl-C by itself, and Python learns of it between waits only.
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = building.wait(timeout=0.1)
                break
    except OSError as problem:
        raise BuildError(f"the exporter cannot be built, since Cargo does not start: {problem}; name a built one by --exporter") from problem
    except BaseException:
        if building is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(building.pid, signal.SIGTERM)
            building.wait()
        raise
    if status != 0:
        raise BuildError(f"the exporter cannot be built: Cargo ended with {status}; --no-build exports with the last one that was")


def define(store: tickbarn.Store, exporter: Path) -> tuple[tickbarn.Dataset, tickbarn.Dataset]:
    """The datasets ``md`` and ``features`` of a store. Their configuration files are written where they are missing: whoever changes them keeps them."""
    configs = {"run": written(RUN_CONFIG).relative_to(DIRECTORY), "simulation": written(SIMULATION_CONFIG).relative_to(DIRECTORY)}

    def defined(name: str, export: str, outputs: dict[str, str], config: dict[str, Any], model: dict[str, Any]) -> tickbarn.Dataset:
        given = ["--model", "{file.model}", "--run", "{input.run}", "--simulation", "{input.simulation}", "--start", "{start}", "--end", "{end}"]
        return store.define(
            name,
            [str(exporter), export, *given, "--orders", "/dev/null", "--verbose", "{unkeyed.verbose}"],
            outputs=outputs,
            config=config,
            files={"model": {**model, "instrument": {"market": "{instrument.market}", "pair": "{instrument.pair}"}}},
            inputs=configs,
            unkeyed={"verbose": 1},
            split="12h",
            timeout="30m",
            cpus=1,
            empty_exit_codes=[3],
            # A copy of the exporter runs: it may be built anew meanwhile.
            snapshot_program=True,
            base_dir=DIRECTORY,
        )

    md = defined(
        "md",
        "marketdata",
        {"orderbook": "orderbook.parquet", "trades": "trades.parquet"},
        {"orderbook_levels": 40, "skip_empty_levels": True},
        {
            "orderbook_file": "{output.orderbook}",
            "trades_file": "{output.trades}",
            "orderbook_levels": "{config.orderbook_levels}",
            "skip_empty_levels": "{config.skip_empty_levels}",
        },
    )
    windows = {"traded_ob_window_size": 500_000_000, "sided_ob_window_size": 1_000_000_000}
    features = defined(
        "features",
        "features",
        {"features": "features.parquet"},
        windows,
        {"features_file": "{output.features}", "features": {window: f"{{config.{window}}}" for window in windows}},
    )
    return md, features


def written(file: tuple[str, str]) -> Path:
    """The path of a file below the examples' directory, which is written where there is none yet."""
    name, text = file
    path = DIRECTORY / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as new:
        new.write(text)
    return path


def carry_out(loads: Iterable[tickbarn.Submitted], mode: str, verbose: int) -> tickbarn.Summary:
    """Waits for loads, says on standard error as much of them as ``verbose`` asks for, and raises what the mode does not leave out."""
    begun = time.monotonic()
    futures = [future for load in loads for future in load]
    if verbose >= 1:
        say(f"{len(futures)} partitions")
    done = itertools.count(1)
    all_told = threading.Event()

    def tell(future: Future[tickbarn.Partition]) -> None:
        nth = next(done)
        # Whatever ends a load is the exception of all that it did not come to. It is told once, at the end.
        if mode in _MODES_THAT_SKIP or future.exception() is None:
            line = told_of(future, verbose)
            if line is not None:
                say(f"[{nth}/{len(futures)}] {line}")
        if nth == len(futures):
            all_told.set()

    for future in futures:
        future.add_done_callback(tell)
    summary = tickbarn.wait(futures, progress=False, quiet=True)
    if futures:
        # Whoever waits is woken before the last of them was told.
        all_told.wait(timeout=_TELL_S)
    if mode not in _MODES_THAT_SKIP:
        for future in futures:
            error = future.exception()
            if error is not None:
                raise error
    counts = {"found": summary.hit, "made": summary.generated, "without data": summary.empty, "missing": summary.missing, "failed": summary.failed}
    if verbose >= 1 and futures:
        say(f"{', '.join(f'{count} {word}' for word, count in counts.items() if count)} in {time.monotonic() - begun:.2f} s")
    return summary


def told_of(future: Future[tickbarn.Partition], verbose: int) -> str | None:
    """What is said of a partition, if it is mentioned at all."""
    error = future.exception()
    if isinstance(error, tickbarn.MissingError):
        return f"missing {error}" if verbose >= 2 else None
    if isinstance(error, tickbarn.LoadCancelled):
        return None
    if error is not None:
        return str(error)
    partition = future.result()
    place = f"{partition.outcome} {partition.dataset} {partition.instrument} {partition.interval}"
    if partition.outcome == "generated" and verbose >= 2:
        changed = f", other {' and '.join(partition.changed)} than before" if partition.changed else ""
        return f"{place}: {sum(partition.rows.values())} rows in {partition.seconds or 0.0:.2f} s{changed}"
    return place if verbose >= 3 or (partition.outcome == "empty" and verbose >= 2) else None


def say(line: str) -> None:
    """A line on standard error. When nobody reads it, that is no reason to fail."""
    with contextlib.suppress(BrokenPipeError):
        # In one piece, since lines come from several threads.
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def exit_status(run: Callable[[], None]) -> int:
    """Runs a script to its end, says what went wrong if anything did, and gives its exit status."""
    try:
        run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("interrupted; what was finished is kept, and the next run goes on from there")
        return 130
    except BrokenPipeError:
        # Whoever reads standard output has seen enough. Python would complain about it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (tickbarn.RequestError, tickbarn.ConfigError, UsageError) as problem:
        say(f"error: {problem}")
        return 2
    except tickbarn.MissingError as problem:
        say(f"error: {problem}\n--mode Default makes what is missing, --mode ReadIgnoreErrors leaves it out")
        return 1
    except (tickbarn.TickbarnError, BuildError, OSError) as problem:
        say(f"error: {problem}")
        return 1
    return 0
