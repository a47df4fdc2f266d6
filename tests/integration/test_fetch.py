"""Files on their way to a worker: what has come is kept, nothing is brought twice, nothing is held in memory."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.errors import StoreUnavailable
from headrace.model_ref import ModelRef
from registry.manifest import Manifest
from registry.object_store import CHUNK_BYTES, ObjectStore
from registry.progress import Progress
from registry.registry import Registry
from tests.model_folder import DOUBLER, write_model

SIZE_BYTES = 64 << 20

#: What a process has ever had in memory, in bytes; `ru_maxrss` would be that of the process that started it.
MEMORY = """
def most_memory():
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
"""

#: Fetches version 1 into a cache, as a worker's child does.
FETCH = f"""{MEMORY}
import sys
from pathlib import Path
from headrace.errors import StoreUnavailable
from headrace.model_ref import ModelRef
from registry.progress import Progress
from registry.registry import Registry

class Count(Progress):
    total = 0
    def moved(self, size_bytes): self.total += size_bytes

before = most_memory()
Registry(url=sys.argv[1]).fetch(ModelRef("big", 1), Path(sys.argv[2]), Count())
print(most_memory() - before)
"""

#: Pushes a folder.
PUSH = f"""{MEMORY}
import sys
from pathlib import Path
from registry.registry import Registry
from registry.source import find_model

find_model(Path(sys.argv[2]), entry=None, digest="0" * 64)
before = most_memory()
Registry(url=sys.argv[1]).push(Path(sys.argv[2]), name="m")
print(most_memory() - before)
"""


class Count(Progress):
    """Counts what moves, and what is to come."""

    def __init__(self) -> None:
        self.total_bytes = self.moved_bytes = 0

    def begin(self, total_bytes: int) -> None:
        self.total_bytes += total_bytes

    def moved(self, size_bytes: int) -> None:
        self.moved_bytes += size_bytes


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def big(url: str, tmp_path: Path) -> Manifest:
    """A version with one large file."""
    folder = write_model(tmp_path / "big")
    (folder / "weights.bin").write_bytes(os.urandom(SIZE_BYTES))
    return Registry(url=url).push(folder, name="big").manifest


def fetch(url: str, cache: Path, *, failpoints: str = "") -> subprocess.CompletedProcess[str]:
    """Fetch in a process of its own."""
    environment = {**os.environ, "HEADRACE_FAILPOINTS": failpoints}
    command = [sys.executable, "-c", FETCH, url, str(cache)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def part(cache: Path) -> Path:
    """The one part that is there."""
    (found,) = (cache / ".partial").iterdir()
    return found


@pytest.mark.usefixtures("big")
def test_a_fetch_killed_half_way_is_gone_on_with_by_the_next(url: str, cache: Path) -> None:
    died = fetch(url, cache, failpoints="registry.part_written=kill9@4")
    had, inode = part(cache).stat().st_size, part(cache).stat().st_ino
    again = fetch(url, cache)

    assert (-signal.SIGKILL, 0) == (died.returncode, again.returncode), again.stderr
    assert 8 << 20 <= had < SIZE_BYTES
    fetched = next(cache.glob("big@1-*")) / "weights.bin"
    assert (inode, SIZE_BYTES) == (fetched.stat().st_ino, fetched.stat().st_size)
    assert list((cache / ".partial").iterdir()) == []


def test_a_large_file_is_not_held_in_memory(url: str, cache: Path, big: Manifest) -> None:
    done = fetch(url, cache)

    assert big.size_bytes > 40e6
    assert int(done.stdout) < SIZE_BYTES * 3 // 4, "the process grew by as much as the file is large"


def test_a_part_that_is_none_of_the_file_is_brought_anew(url: str, cache: Path, big: Manifest) -> None:
    fetch(url, cache, failpoints="registry.part_written=kill9@4")
    with part(cache).open("r+b") as content:
        content.write(b"somebody else wrote this")

    fetched = Registry(url=url).fetch(big.ref, cache)

    assert (fetched / "weights.bin").stat().st_size == SIZE_BYTES


def test_versions_that_share_a_file_have_it_once(url: str, cache: Path, big: Manifest, tmp_path: Path) -> None:
    registry = Registry(url=url)
    registry.fetch(big.ref, cache)
    write_model(tmp_path / "big", DOUBLER.replace("max_batch=8", "max_batch=9"))
    second, count = registry.push(tmp_path / "big", name="big").manifest, Count()

    fetched = registry.fetch(second.ref, cache, count)

    assert (fetched / "weights.bin").samefile(next(cache.glob("big@1-*")) / "weights.bin")
    assert count.moved_bytes < 10_000


def test_of_processes_that_fetch_at_once_one_brings_the_file(url: str, cache: Path, big: Manifest) -> None:
    counts = [Count() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda count: Registry(url=url).fetch(big.ref, cache, count), counts))

    assert len(folders) == 1
    assert sum(count.moved_bytes for count in counts) == big.size_bytes


def test_progress_tells_all_that_is_to_come_and_each_part_of_it(url: str, cache: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", files={"w.bin": "0123456789"})
    pushed, fetched, again = Count(), Count(), Count()
    registry = Registry(url=url)

    manifest = registry.push(folder, name="m", progress=pushed).manifest
    registry.push(folder, name="m", progress=pushed)
    registry.fetch(ModelRef("m", 1), cache, fetched)
    registry.fetch(ModelRef("m", 1), cache, again)

    size = manifest.size_bytes
    assert [(size, size), (size, size), (0, 0)] == [(c.total_bytes, c.moved_bytes) for c in (pushed, fetched, again)]


def test_a_push_holds_no_large_file_in_memory(url: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "w.bin").write_bytes(os.urandom(SIZE_BYTES))
    done = subprocess.run([sys.executable, "-c", PUSH, url, str(folder)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < SIZE_BYTES * 3 // 4


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A store that breaks off after each chunk; the offsets that it was asked for."""
    asked, whole = list[int](), ObjectStore.stream

    def stream(store: ObjectStore, path: str, *, offset: int = 0) -> Iterator[bytes]:
        asked.append(offset)
        yield next(whole(store, path, offset=offset))
        raise StoreUnavailable("the wire was cut")

    monkeypatch.setattr(ObjectStore, "stream", stream)
    monkeypatch.setattr("registry.cache._FIRST_PAUSE_S", 0)
    return asked


def test_a_store_that_breaks_off_after_each_chunk_is_read_to_the_end(
    url: str, cache: Path, big: Manifest, breaking: list[int]
) -> None:
    fetched = Registry(url=url).fetch(big.ref, cache)

    assert (fetched / "weights.bin").stat().st_size == SIZE_BYTES
    assert sorted(set(breaking)) == [CHUNK_BYTES * i for i in range(SIZE_BYTES // CHUNK_BYTES)]


def test_a_store_that_gives_nothing_more_is_given_up_and_what_is_here_stays(
    url: str, cache: Path, big: Manifest, breaking: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(url, cache, failpoints="registry.part_written=kill9@4")
    had = part(cache).stat().st_size

    def silent(*_: object, offset: int) -> Iterator[bytes]:
        breaking.append(offset)
        raise StoreUnavailable("nobody answers")

    monkeypatch.setattr(ObjectStore, "stream", silent)
    with pytest.raises(StoreUnavailable, match="nobody answers"):
        Registry(url=url).fetch(big.ref, cache)

    assert (had, [had] * 4) == (part(cache).stat().st_size, breaking)
