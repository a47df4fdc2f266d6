"""When stages are worked on beside a pass: it is long, they are too, and neither minds the other."""

from pathlib import Path

import pytest

from tests.unit.test_child_pipeline import SOURCE, Rig
from workers.runtime import Runtime

#: Says also how several inputs are prepared in one call.
TOGETHER = SOURCE.replace(
    "    def cost", "    def preprocess_all(self, items: list[str]): return [[i, here()] for i in items]\n    def cost"
)
LONG_S, BRIEF_S = 0.1, 0.001


def has_company(rig: Rig, *, jobs: int = 4, pass_s: float = LONG_S) -> bool:
    """Whether the thread may work while such a pass runs."""
    with rig.preparer.company(rig.runtime, jobs=jobs, expected_s=pass_s):
        return rig.inbox.beside > 0


def slow_to_stage(runtime: Runtime) -> Runtime:
    runtime.staging.took(1, 0.05)
    return runtime


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    slow_to_stage(made.runtime)
    return made


def test_a_long_pass_has_company_where_staging_is_worth_a_thread(rig: Rig) -> None:
    assert has_company(rig)


def test_a_brief_pass_has_none(rig: Rig) -> None:
    assert not has_company(rig, pass_s=BRIEF_S)


def test_what_is_staged_in_no_time_is_not_worth_a_thread(tmp_path: Path) -> None:
    assert not has_company(Rig(tmp_path))


def test_where_stages_disturb_the_pass_it_has_none(rig: Rig) -> None:
    rig.runtime.overlap.is_on = False

    assert not has_company(rig)


def test_what_is_staged_together_goes_beside_a_pass_that_minds_other_stages(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TOGETHER)
    slow_to_stage(rig.runtime).overlap.is_on = False

    assert has_company(rig)


def test_hooks_that_must_not_run_at_the_same_time_never_do(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TOGETHER)
    overlap = slow_to_stage(rig.runtime).overlap
    overlap.is_on = overlap.is_allowed = False

    assert not has_company(rig)
