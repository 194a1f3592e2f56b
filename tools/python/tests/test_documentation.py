"""What is written in docstrings, the README and the stubs is so."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tickbarn

MODULES = ["tickbarn", *(f"tickbarn.{module.name}" for module in pkgutil.iter_modules(tickbarn.__path__) if module.name != "_native")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_everything_public_is_documented() -> None:
    bare = []
    for name in tickbarn.__all__:
        public = getattr(tickbarn, name)
        if not public.__doc__:
            bare.append(name)
        if isinstance(public, type):
            bare += [f"{name}.{member}" for member, value in vars(public).items() if not member.startswith("_") and callable(value) and not value.__doc__]
    assert bare == []


def test_the_package_passes_a_strict_type_checker() -> None:
    pytest.importorskip("mypy")
    assert (Path(tickbarn.__file__).parent / "py.typed").is_file()
    sources = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10", "--cache-dir", os.devnull, "python/tickbarn"]
    checked = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_strict_user_sees_the_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "user.py"
    script.write_text(
        "import polars as pl\nimport tickbarn\n\n\n"
        "def total(store: tickbarn.Store) -> int:\n"
        "    loaded = store.load('md', 'binance/BTC-USDT', '2024-01-01', '2024-02-01')\n"
        "    frame: pl.LazyFrame = loaded.frame('trades')\n"
        "    for partition in loaded:\n"
        "        reveal_type(partition.outcome)\n"
        "    return len(loaded) + frame.collect().height\n"
    )
    checked = subprocess.run([sys.executable, "-m", "mypy", "--strict", str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and 'Revealed type is "str"' in checked.stdout.replace("builtins.", ""), checked.stdout + checked.stderr


def test_the_version_is_that_of_the_workspace() -> None:
    manifest = Path(__file__).resolve().parents[3] / "Cargo.toml"
    from importlib.metadata import version

    assert f'version = "{version("tickbarn")}"' in manifest.read_text()
