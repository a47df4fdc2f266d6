"""Makes the virtual environment of a competitor, whose pins differ from ours, once under `.bench/`."""

import subprocess
import sys
import venv
from pathlib import Path

from bench.service import ROOT

#: Folder of everything that benchmarks keep between runs.
KEPT = ROOT / ".bench"


class VenvFailed(RuntimeError):
    """Raised when a competitor cannot be installed."""


def make_venv(name: str, requirements: Path) -> Path:
    """Install `requirements` into `.bench/<name>`, unless exactly they are there already; answers its Python.

    Raises:
        VenvFailed: if the package index cannot be reached or does not have them.
    """
    folder = KEPT / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {name} into {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    _install(python, requirements)
    stamp.write_text(wanted)
    return python


def _install(python: Path, requirements: Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VenvFailed(
            f"cannot install {requirements.name} for the comparison; is a package index reachable?\n"
            + done.stderr[-1500:]
        )
