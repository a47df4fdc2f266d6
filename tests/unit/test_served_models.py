"""How far each model version has come on a worker."""

import pytest

from headrace.presence import ModelState
from workers.backoff import Backoff
from workers.served_models import ServedModels


def states(models: ServedModels) -> dict[str, ModelState]:
    return {ref: presence.state for ref, presence in models.presence().items()}


def test_a_wanted_version_is_due_once() -> None:
    models = ServedModels()

    models.want({"a@1"})

    assert models.due(0.0) == ["a@1"]
    assert models.due(0.0) == []
    assert states(models) == {"a@1": ModelState.LOADING}


def test_a_loaded_version_is_ready_with_its_batch_size() -> None:
    models = ServedModels()
    models.want({"a@1"})
    models.due(0.0)

    models.loaded("a@1", 32)

    assert models.ready() == {"a@1": 32}
    assert models.is_ready("a@1")


def test_a_refused_version_is_tried_again_after_growing_pauses() -> None:
    models = ServedModels()
    models.want({"a@1"})
    models.due(0.0)

    models.refused("a@1", "its file is corrupt", 0.0)

    assert models.presence()["a@1"].error == "its file is corrupt"
    assert models.due(0.9) == []
    assert models.due(1.0) == ["a@1"]
    models.refused("a@1", "still", 1.0)
    assert models.due(2.9) == []
    assert models.due(3.0) == ["a@1"]


def test_when_the_child_is_lost_everything_is_loaded_again() -> None:
    models = ServedModels()
    models.want({"a@1", "b@1"})
    for ref in models.due(0.0):
        models.loaded(ref, 8)

    models.child_lost()

    assert models.ready() == {}
    assert {"a@1", "b@1"} == set(models.due(0.0))


def test_a_version_whose_load_killed_the_child_waits_while_the_others_load() -> None:
    models = ServedModels()
    models.want({"a@1", "b@1"})
    models.due(0.0)
    models.loaded("a@1", 8)

    models.child_lost()
    models.refused("b@1", "exit -11", 0.0)

    assert models.due(0.5) == ["a@1"]
    assert ModelState.FAILED is states(models)["b@1"]


def test_what_a_version_ran_is_added_up() -> None:
    models = ServedModels()
    models.want({"a@1"})

    models.ran("a@1", jobs=8, took_s=0.5)
    models.ran("a@1", jobs=2, took_s=0.25)

    presence = models.presence()["a@1"]
    assert (10, 0.75) == (presence.jobs, presence.busy_s)


def test_only_a_well_filled_pass_makes_jobs_look_dearer() -> None:
    models = ServedModels()
    models.want({"a@1"})
    models.loaded("a@1", 8)

    costs = []
    for jobs, took_s in [(1, 0.8), (8, 0.8), (1, 0.8), (8, 8.0)]:
        models.ran("a@1", jobs=jobs, took_s=took_s)
        costs.append(models.presence()["a@1"].job_s)

    assert costs == pytest.approx([0.8, 0.45, 0.45, 0.505])


def test_backoff_doubles_up_to_its_limit_and_starts_over_after_a_reset() -> None:
    backoff = Backoff(first_s=1.0, most_s=5.0)

    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0
