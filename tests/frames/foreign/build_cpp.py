"""Compiles writer.cpp against the Arrow C++ that is inside of the pyarrow wheel: `build_cpp.py OUT_BINARY`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow


def library(name: str) -> Path:
    # By its versioned name: the wheel has no other, and pyarrow.create_library_symlinks() would change the installation that others share.
    file = f"lib{name}.so.{pyarrow.cpp_build_info.so_version}"
    found = [path for path in (Path(directory) / file for directory in pyarrow.get_library_dirs()) if path.exists()]
    if not found:
        raise SystemExit(f"pyarrow {pyarrow.__version__} has no {file} in {pyarrow.get_library_dirs()}")
    return found[0]


def main(binary: Path) -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise SystemExit(f"there is no {compiler}: install a compiler of C++20, or name one in CXX")
    include = Path(pyarrow.get_include())
    if not (include / "parquet" / "api" / "writer.h").exists():
        raise SystemExit(f"pyarrow {pyarrow.__version__} has no Parquet headers in {include}")
    libraries = [library("parquet"), library("arrow")]
    source = Path(__file__).with_name("writer.cpp")
    # Arrow's headers are a system's: their warnings are not ours.
    command = [compiler, "-std=c++20", "-O0", "-Wall", "-Wextra", "-isystem", include, source, "-o", binary, *libraries]
    command += [f"-Wl,-rpath,{libraries[0].parent}"]
    if subprocess.run(command).returncode != 0:
        raise SystemExit(f"{compiler} does not compile {source} with pyarrow {pyarrow.__version__}; tried\n  {' '.join(map(str, command))}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: build_cpp.py OUT_BINARY")
    main(Path(sys.argv[1]))
