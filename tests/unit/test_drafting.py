"""What jobs have in common is worked out once, and is no other for that."""

from typing import Any

import pytest

from api.catalog import Catalog
from api.drafting import Drafting
from api.terms import read_submission
from headrace.errors import InvalidInput
from headrace.jobs import NewJob
from headrace.settings import Settings
from registry.registry import Registry

ID = "a-chosen-id-of-26-letters-"
NOW_MS = 1_700_000_000_000
SOURCE = """
from headrace.model import Model

class Echo(Model):
    def forward(self, batch: list[str]) -> list[str]:
        return batch
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "model.py").write_text(SOURCE)
    registry = Registry(url=tmp_path_factory.mktemp("registry").as_uri())
    registry.push(folder, name="alone")
    registry.push(folder, name="echo")
    (folder / "model.py").write_text(SOURCE + "\n")
    registry.canary(registry.push(folder, name="echo", release=False).manifest.ref, percent=50)
    return registry


@pytest.fixture
async def drafting(registry: Registry) -> Drafting:
    catalog = Catalog(registry=registry, poll_s=60)
    await catalog.refresh()
    return Drafting(settings=Settings(), catalog=catalog, tenant="acme")


async def draft(drafting: Drafting, *, now_ms: int = NOW_MS, job_id: str = ID, **fields: Any) -> NewJob:
    terms, value = read_submission({"model": "echo@1", "input": "hello", **fields})
    return await drafting.draft(terms, value, now_ms=now_ms, job_id=job_id)


async def test_a_job_is_the_same_whether_others_of_its_kind_came_before(drafting: Drafting) -> None:
    options = {"tier": "spot", "max_attempts": 7, "run_timeout_s": 5, "dedupe": {"scope": "content"}}
    fields: dict[str, Any] = {"input": "second", "metadata": {"a": "b"}, "options": options}
    alone = await draft(drafting, **fields)

    await draft(drafting, input="first", metadata={"c": "d"}, options=options)
    again = await draft(drafting, **fields)

    assert alone == again
    assert (again.input, again.metadata, again.max_attempts) == (b'"second"', b'{"a":"b"}', 7)


async def test_what_one_noted_beside_its_job_is_not_noted_beside_the_next(drafting: Drafting) -> None:
    await draft(drafting, metadata={"a": "b"}, options={"dedupe": {"key": "k"}})

    plain = await draft(drafting)

    assert (plain.metadata, plain.dedupe_key, plain.idempotency_key) == (b"", "", "")


async def test_spans_count_from_when_each_job_came(drafting: Drafting) -> None:
    times = {"not_before": 1, "start_by": 2, "deadline": 3}
    early = await draft(drafting, options=times)

    late = await draft(drafting, options=times, now_ms=NOW_MS + 500)

    assert (early.not_before_ms, early.start_by_ms, early.deadline_ms) == (NOW_MS + 1000, NOW_MS + 2000, NOW_MS + 3000)
    assert (late.not_before_ms, late.start_by_ms, late.deadline_ms) == (NOW_MS + 1500, NOW_MS + 2500, NOW_MS + 3500)


async def test_a_deadline_that_could_be_kept_before_is_over_later(drafting: Drafting) -> None:
    options = {"deadline": "2023-11-14T22:13:21Z"}
    await draft(drafting, options=options)

    with pytest.raises(InvalidInput, match="already over"):
        await draft(drafting, options=options, now_ms=NOW_MS + 1000)


async def test_jobs_of_two_versions_are_of_two_kinds(drafting: Drafting) -> None:
    drafts = [await draft(drafting, model="echo", job_id=f"{ID}{number}") for number in range(20)]

    assert {1, 2} == {job.ref.version for job in drafts}


async def test_each_input_is_checked_though_its_kind_is_known(drafting: Drafting) -> None:
    await draft(drafting)

    with pytest.raises(InvalidInput, match="/input"):
        await draft(drafting, input=5)


async def test_a_maker_makes_the_jobs_that_are_drafted_one_by_one(drafting: Drafting) -> None:
    options = {"max_attempts": 7, "deadline": "PT1H", "dedupe": {"scope": "content"}}
    terms, value = read_submission({"model": "alone", "input": "hello", "options": options, "metadata": {"a": "b"}})

    make = drafting.maker(terms, now_ms=NOW_MS)

    assert make is not None
    assert make(ID, value) == await drafting.draft(terms, value, now_ms=NOW_MS, job_id=ID)
    with pytest.raises(InvalidInput, match="/input"):
        make(ID, 5)


@pytest.mark.parametrize(
    ("model", "options"), [("echo", {}), ("unheard-of", {}), ("alone", {"deadline": "2023-11-14T22:13:19Z"})]
)
async def test_nothing_makes_all_jobs_that_are_shared_out_or_must_be_looked_at_one_by_one(
    drafting: Drafting, model: str, options: dict[str, Any]
) -> None:
    terms, _ = read_submission({"model": model, "input": "hello", "options": options})

    assert drafting.maker(terms, now_ms=NOW_MS) is None
