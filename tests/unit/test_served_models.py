"""How far each model version has come on a worker."""

import pytest

from headrace.presence import ModelState
from workers.backoff import Backoff
from workers.claim_policy import Window
from workers.cost_model import CostModel
from workers.frames import PassReport
from workers.served_models import ServedModels


def report(jobs: int, *, took_s: float = 0.1, cost: float = 0.0, padding: float = 0.0) -> PassReport:
    return PassReport(took_s, staged_s=0.0, cost=cost or jobs, items=jobs, runs=1, padding=padding)


def loaded(max_batch: int) -> ServedModels:
    models = ServedModels()
    models.want({"a@1"})
    models.loaded("a@1", max_batch)
    return models


def due(models: ServedModels, now: float) -> list[str]:
    """Have everything loaded that may be."""
    refs = models.loadable(now)
    for ref in refs:
        models.begin_load(ref)
    return refs


def states(models: ServedModels) -> dict[str, ModelState]:
    return {ref: presence.state for ref, presence in models.presence().items()}


def test_a_wanted_version_is_due_once() -> None:
    models = ServedModels()

    models.want({"a@1"})

    assert due(models, 0.0) == ["a@1"]
    assert due(models, 0.0) == []
    assert states(models) == {"a@1": ModelState.LOADING}


def test_a_loaded_version_is_ready_with_its_batch_size() -> None:
    models = ServedModels()
    models.want({"a@1"})
    due(models, 0.0)

    models.loaded("a@1", 32)

    assert models.ready() == {"a@1": 32}
    assert models.is_ready("a@1")


def test_a_refused_version_is_tried_again_after_growing_pauses() -> None:
    models = ServedModels()
    models.want({"a@1"})
    due(models, 0.0)

    models.refused("a@1", "its file is corrupt", 0.0)

    assert models.presence()["a@1"].error == "its file is corrupt"
    assert due(models, 0.9) == []
    assert due(models, 1.0) == ["a@1"]
    models.refused("a@1", "still", 1.0)
    assert due(models, 2.9) == []
    assert due(models, 3.0) == ["a@1"]


def test_when_the_child_is_lost_everything_is_loaded_again() -> None:
    models = ServedModels()
    models.want({"a@1", "b@1"})
    for ref in due(models, 0.0):
        models.loaded(ref, 8)

    models.child_lost({"a@1", "b@1"})

    assert models.ready() == {}
    assert {"a@1", "b@1"} == set(due(models, 0.0))


def test_a_version_whose_load_killed_the_child_waits_while_the_others_load() -> None:
    models = ServedModels()
    models.want({"a@1", "b@1"})
    due(models, 0.0)
    models.loaded("a@1", 8)

    models.child_lost({"a@1", "b@1"})
    models.refused("b@1", "exit -11", 0.0)

    assert due(models, 0.5) == ["a@1"]
    assert ModelState.FAILED is states(models)["b@1"]


def test_what_a_version_ran_is_added_up() -> None:
    models = ServedModels()
    models.want({"a@1"})

    models.ran("a@1", report(8, took_s=0.5, cost=80.0, padding=8.0))
    models.ran("a@1", report(2, took_s=0.25, cost=10.0, padding=1.0)._replace(runs=3))

    presence = models.presence()["a@1"]
    assert (2, 4, 10, 0.75) == (presence.passes, presence.runs, presence.jobs, presence.busy_s)
    assert (90.0, 9.0) == (presence.cost, presence.padding)


def test_only_a_well_filled_pass_makes_jobs_look_dearer() -> None:
    models = ServedModels()
    models.want({"a@1"})
    models.loaded("a@1", 8)

    costs = []
    for jobs, took_s in [(1, 0.8), (8, 0.8), (1, 0.8), (8, 8.0)]:
        models.ran("a@1", report(jobs, took_s=took_s))
        costs.append(models.presence()["a@1"].job_s)

    assert costs == pytest.approx([0.8, 0.45, 0.45, 0.505])


def test_without_a_ready_version_the_window_is_closed() -> None:
    assert Window(0, 0) == ServedModels().window()


def test_items_that_all_cost_the_same_are_claimed_one_batch_ahead() -> None:
    models = loaded(8)

    models.ran("a@1", report(8))
    models.ran("a@1", report(3))

    assert Window(8, 8) == models.window()


@pytest.mark.parametrize(
    "passes",
    [
        pytest.param([report(8, cost=80, padding=5)], id="within a batch"),
        pytest.param([report(8, cost=80), report(8, cost=88)], id="between batches"),
    ],
)
def test_items_of_unlike_cost_are_chosen_from_many(passes: list[PassReport]) -> None:
    models = loaded(8)

    for one in passes:
        models.ran("a@1", one)

    assert Window(8, 64) == models.window()


def test_what_there_is_to_choose_from_is_bounded_in_seconds_of_work() -> None:
    models = loaded(8)

    models.ran("a@1", report(8, took_s=0.8, padding=1.0))
    by_the_passes = models.window()
    models.waits("a@1", jobs=10, seconds=5.0)
    by_what_waits = models.window()

    assert (Window(8, 20), Window(8, 8)) == (by_the_passes, by_what_waits)


def test_a_child_that_leaves_jobs_waiting_is_given_fewer_and_more_again_when_it_takes_all() -> None:
    models = loaded(64)

    for _ in range(100):
        models.chose("a@1", jobs=4, left=60)
    few = models.window().batch
    models.chose("a@1", jobs=8, left=0)
    more = models.window().batch

    assert (9, 17) == (few, more)


def test_the_model_that_needs_most_decides() -> None:
    models = ServedModels()
    models.want({"a@1", "b@1"})
    models.loaded("a@1", 8)
    models.loaded("b@1", 4)
    models.ran("b@1", report(4, padding=1.0))

    assert Window(8, 32) == models.window()


def test_what_a_job_costs_in_a_full_pass_is_known_from_smaller_ones() -> None:
    costs = CostModel()
    for items in (1, 2, 3, 4) * 10:
        costs.observe(items, items, 0.1 + 0.01 * items)
    models = loaded(8)
    models.ran("a@1", report(2, took_s=0.12))

    models.learned("a@1", costs.to_bytes())

    assert pytest.approx(0.18 / 8, rel=0.1) == models.presence()["a@1"].job_s


def test_what_cannot_be_read_teaches_nothing() -> None:
    models = loaded(8)
    models.ran("a@1", report(8, took_s=0.8))

    models.learned("a@1", b"not JSON")

    assert 0.1 == models.presence()["a@1"].job_s


def test_backoff_doubles_up_to_its_limit_and_starts_over_after_a_reset() -> None:
    backoff = Backoff(first_s=1.0, most_s=5.0)

    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_a_version_is_parked_from_when_it_made_way_until_it_is_back() -> None:
    models = loaded(8)

    models.unload("a@1")
    models.parked("a@1", 5_000)
    waits = models.presence()["a@1"]
    models.begin_load("a@1")
    models.loaded("a@1", 8)

    assert (True, 5_000, True, ModelState.LOADING) == (waits.parked, waits.host_bytes, waits.cold, waits.state)
    back = models.presence()["a@1"]
    assert (False, 0) == (back.parked, back.host_bytes)


def test_what_was_parked_is_gone_with_its_process() -> None:
    models = loaded(8)
    models.unload("a@1")
    models.parked("a@1", 5_000)

    models.child_lost({"a@1"})

    assert not models.presence()["a@1"].parked
