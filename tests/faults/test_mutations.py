"""Every mistake of the list, made in a copy of the sources, is found by the test that is named for it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.mutation_rig import Mutation, copy_sources, run_tests
from tests.faults.mutations import FURTHER, NAMED

pytestmark = pytest.mark.timeout(1800)

ALL = (*NAMED, *FURTHER)
#: Tests mostly wait for processes.
AT_ONCE = 2


def test_the_list_is_complete() -> None:
    assert len(NAMED) == 14
    assert len(FURTHER) >= 10
    assert len({mutation.name for mutation in ALL}) == len(ALL)


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_the_mistake_can_still_be_made(mutation: Mutation, tmp_path: Path) -> None:
    (tmp_path / mutation.path).parent.mkdir(parents=True)
    source = Path(__file__).parents[2] / mutation.path
    (tmp_path / mutation.path).write_text(source.read_text())

    mutation.apply(tmp_path)

    assert source.read_text() != (tmp_path / mutation.path).read_text()


@pytest.mark.faults
def test_without_a_mistake_the_tests_pass(tmp_path: Path) -> None:
    copy_sources(tmp_path)

    verdict = run_tests(tmp_path, sorted({mutation.found_by for mutation in ALL}))

    assert verdict.passed, verdict.words


@pytest.mark.faults
@pytest.mark.parametrize("mutations", [NAMED, FURTHER], ids=["named", "further"])
def test_every_mistake_is_found(
    mutations: Sequence[Mutation], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda mutation: is_found(mutation, tmp_path / mutation.name), mutations))

    with capsys.disabled():
        for mutation, is_so in zip(mutations, found, strict=True):
            print(f"\n{'found' if is_so else 'MISSED':6}  {mutation.name}", end="")  # noqa: T201 - the list is the result
        print(f"\n{sum(found)} of {len(found)}")  # noqa: T201
    assert [mutation.name for mutation, is_so in zip(mutations, found, strict=True) if not is_so] == []


def is_found(mutation: Mutation, tree: Path) -> bool:
    """Make the mistake in a copy, and tell whether its test fails there."""
    copy_sources(tree)
    mutation.apply(tree)
    return run_tests(tree, [mutation.found_by]).failed
