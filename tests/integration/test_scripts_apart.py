"""Jobs that share no forward pass with others."""

import pytest

from headrace.store_work import CommitAnswer
from tests.integration.old_scripts import OldCell
from tests.integration.script_cell import Cell

MEMBER = "default/j1"


def test_workers_are_told_which_jobs_share_no_pass(cell: Cell) -> None:
    cell.submit("plain")
    cell.submit("apart", is_batchable=False)

    first = cell.claim().jobs
    cell.run(cell.store.release([job.lease for job in first]))
    second = cell.claim().jobs

    expected = [("default/plain", False), ("default/apart", True)]
    assert [expected] * 2 == [[(job.member, job.runs_apart) for job in jobs] for jobs in (first, second)]
    assert [b'"x"', b'"x"'] == [job.input for job in first]


@pytest.mark.parametrize("is_batchable", [True, False])
def test_the_record_says_so_where_it_is_so(cell: Cell, is_batchable: bool) -> None:
    cell.submit_many(2, is_batchable=is_batchable)

    assert [is_batchable] * 2 == [cell.job(f"default/j{i}").is_batchable for i in range(2)]
    assert (not is_batchable) == cell.redis.hexists(cell.keys.job("default/j0"), "S")


def test_a_worker_of_an_earlier_release_runs_it_like_any_other(cell: Cell) -> None:
    old = OldCell(cell)
    cell.submit(is_batchable=False)
    leases = old.take()
    old.start(leases)

    assert "1" == old.commit(leases)
    assert [CommitAnswer.ALREADY_KEPT] == cell.commit(leases)
