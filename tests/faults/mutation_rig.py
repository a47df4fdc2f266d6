"""How a mistake is made in a copy of the sources, and tests are run there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("api", "bench", "examples", "headrace", "registry", "scheduler", "tests", "workers", "pyproject.toml")
_LIMIT_S = 150.0


class Mutation(NamedTuple):
    """A mistake: in `path`, where `right` stands once, stands `wrong`."""

    name: str
    path: str
    right: str
    wrong: str
    #: The test that finds it.
    found_by: str

    def apply(self, tree: Path) -> None:
        """Make the mistake in a copy of the sources.

        Raises:
            AssertionError: if the sources do not say any more what they said.
        """
        file = tree / self.path
        text = file.read_text()
        assert text.count(self.right) == 1, f"{self.name}: {self.path} no longer says once: {self.right}"
        file.write_text(text.replace(self.right, self.wrong))


def copy_sources(tree: Path) -> None:
    """Copy everything that tests need."""
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tree / name)


class Verdict(NamedTuple):
    """What came of a run of tests."""

    passed: bool
    #: True if tests failed, rather than could not be run.
    failed: bool
    words: str


def run_tests(tree: Path, tests: Sequence[str]) -> Verdict:
    """Run tests of a copy in a process of its own."""
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        f"--timeout={_LIMIT_S - 30:g}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    try:
        ended = subprocess.run(
            [*command, *tests],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=10 * _LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return Verdict(passed=False, failed=False, words=str(error))
    summary = re.findall(r"(?m)^(?:FAILED|ERROR).*$", ended.stdout)
    return Verdict(ended.returncode == 0, ended.returncode == 1, "\n".join([*summary, *ended.stdout.splitlines()[-5:]]))
