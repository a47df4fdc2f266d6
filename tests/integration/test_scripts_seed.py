"""Jobs whose model draws random numbers from a seed of their own."""

import pytest

from headrace.jobs import MAX_SEED
from headrace.store_work import CommitAnswer
from tests.integration.old_scripts import OldCell
from tests.integration.script_cell import Cell, new_job

#: The least and the greatest, and none.
SEEDS = (0, MAX_SEED, None)


def test_workers_are_told_the_seeds_of_those_that_bring_one(cell: Cell) -> None:
    for number, seed in enumerate(SEEDS):
        cell.submit(f"j{number}", seed=seed)

    first = cell.claim().jobs
    cell.run(cell.store.release([job.lease for job in first]))
    second = cell.claim().jobs

    expected = [(f"default/j{number}", seed) for number, seed in enumerate(SEEDS)]
    assert [expected] * 2 == [[(job.member, job.seed) for job in jobs] for jobs in (first, second)]
    assert [b'"x"'] * 3 == [job.input for job in first]


def test_an_attempt_that_is_repeated_has_the_seed_of_the_first(cell: Cell) -> None:
    cell.submit(seed=7)
    seeds = [job.seed for job in cell.claim().jobs]
    cell.lapse_leases()
    cell.reap()
    [job] = cell.claim().jobs
    seeds.append(job.seed)
    cell.run(cell.store.start([job.lease]))
    cell.fail([job.lease])
    cell.lapse_delays()
    cell.run(cell.store.promote(limit=1))
    seeds += [job.seed for job in cell.claim().jobs]

    assert [7, 7, 7] == seeds


def test_jobs_of_one_call_have_each_their_own(cell: Cell) -> None:
    jobs = [new_job(f"j{number}", seed=seed) for number, seed in enumerate((*SEEDS, 7, 7))]

    cell.run(cell.store.submit_many(jobs, cap=10))

    assert [*SEEDS, 7, 7] == [cell.job(f"default/j{number}").seed for number in range(5)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_record_says_so_where_there_is_one(cell: Cell, seed: int | None) -> None:
    cell.submit(seed=seed)

    assert seed == cell.job("default/j1").seed
    assert (seed is not None) == cell.redis.hexists(cell.keys.job("default/j1"), "D")


def test_a_record_with_a_seed_that_is_none_is_set_apart(cell: Cell) -> None:
    cell.submit("broken", seed=7)
    cell.submit("sound", seed=7)
    cell.redis.hset(cell.keys.job("default/broken"), "D", "seven")

    assert ["default/sound"] == [job.member for job in cell.claim().jobs]
    assert 1 == cell.stat("quarantined")


def test_a_worker_of_an_earlier_release_runs_it_like_any_other(cell: Cell) -> None:
    old = OldCell(cell)
    cell.submit(seed=7)
    leases = old.take()
    old.start(leases)

    assert "1" == old.commit(leases)
    assert [CommitAnswer.ALREADY_KEPT] == cell.commit(leases)
