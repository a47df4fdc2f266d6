"""What a version needs stands in its manifest, and where that is missing it is refused before its code runs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.errors import InvalidModel
from headrace.model_ref import ModelRef
from registry.manifest import Manifest
from registry.registry import Registry
from tests.model_folder import DOUBLER, write_model
from workers.runtime import Runtime


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(url=(tmp_path / "store").as_uri())


def push(registry: Registry, tmp_path: Path, source: str) -> Manifest:
    return registry.push(write_model(tmp_path / "m", source), name="m").manifest


def load(registry: Registry, tmp_path: Path, manifest: Manifest, device: str = "cpu") -> Runtime:
    folder = registry.fetch(manifest.ref, tmp_path / "cache")
    return Runtime.load(folder=folder, manifest=manifest, device=device)


def with_keywords(keywords: str) -> str:
    return DOUBLER.replace("max_batch=8", f"max_batch=8, {keywords}")


def requiring(*names: str) -> str:
    return DOUBLER.replace("    def preprocess", f"    requires = {names!r}\n    def preprocess", 1)


def test_a_version_needs_what_its_class_and_those_it_builds_on_need(registry: Registry, tmp_path: Path) -> None:
    source = requiring("pydantic>=2") + "\nclass Child(Doubler):\n    requires = ('orjson', 'pydantic>=2')\n"
    folder = write_model(tmp_path / "m", source)

    manifest = registry.push(folder, name="m", entry="model.py:Child").manifest

    assert ("python", ("pydantic>=2", "orjson")) == (manifest.runtime, manifest.requires)
    assert load(registry, tmp_path, manifest).run([b'{"value": 2}'])[0].body == b"4"


@pytest.mark.parametrize(
    ("needs", "says"),
    [
        ("no-such-library>=2", "m@1 needs no-such-library>=2, which is not installed; install it where the workers"),
        ("pydantic>=99", "m@1 needs pydantic>=99, and there is 2"),
    ],
)
def test_what_is_missing_is_named_before_any_code_of_the_version_runs(
    registry: Registry, tmp_path: Path, needs: str, says: str
) -> None:
    manifest = push(registry, tmp_path, requiring(needs))
    folder = registry.fetch(manifest.ref, tmp_path / "cache")
    (folder / "model.py").write_text("raise SystemExit('was imported')")

    with pytest.raises(InvalidModel, match=says):
        Runtime.load(folder=folder, manifest=manifest, device="cpu")


def test_a_requirement_of_another_system_is_none(registry: Registry, tmp_path: Path) -> None:
    manifest = push(registry, tmp_path, requiring("pywin32; sys_platform == 'win32'"))

    assert load(registry, tmp_path, manifest).max_batch == 8


def test_a_requirement_that_cannot_be_read_is_refused_at_the_push(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"requires: 'torch >> 2' is no requirement .*; write it as transformers>=5"):
        push(registry, tmp_path, requiring("torch >> 2"))


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ("device='cuda'", "m@1 runs on cuda only, and this worker's device is cpu"),
        ("memory_bytes=10**15", "m@1 needs 1000000.0 GB of memory, and cpu has .* serve it by a larger worker class"),
    ],
)
def test_a_version_that_does_not_fit_a_worker_is_refused(
    registry: Registry, tmp_path: Path, keywords: str, says: str
) -> None:
    manifest = push(registry, tmp_path, with_keywords(keywords))

    with pytest.raises(InvalidModel, match=says):
        load(registry, tmp_path, manifest)


def test_a_version_says_from_which_commit_it_came(
    registry: Registry, tmp_path: Path, program: Callable[[str], str]
) -> None:
    folder = write_model(tmp_path / "m")
    git = [program("git"), "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()

    clean = registry.push(folder, name="m", provenance={"imported": "elsewhere"}).manifest
    (folder / "model.py").write_text((folder / "model.py").read_text() + "\n# changed\n")
    changed = registry.push(folder, name="m").manifest

    assert (head, "elsewhere") == (clean.provenance["commit"], clean.provenance["imported"])
    assert f"{head}+" == changed.provenance["commit"]


def test_the_same_content_from_elsewhere_is_the_same_version(registry: Registry, tmp_path: Path) -> None:
    first = push(registry, tmp_path, DOUBLER)

    again = first.model_copy(update={"provenance": {"by": "somebody else"}})

    assert again.digest == first.digest == Registry(url=(tmp_path / "store").as_uri()).manifest(ModelRef("m", 1)).digest
