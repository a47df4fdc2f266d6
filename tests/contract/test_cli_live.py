"""The command line against an API that serves real connections."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import app, exit_code
from headrace.errors import HeadraceError
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker

Run = Callable[..., Result]


@pytest.fixture
def run(live_url: str) -> Run:
    """Runs `headrace …` against the API."""

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, [*arguments, "--url", live_url], input=stdin)

    return run


def code(result: Result) -> int:
    """The exit code that `main` makes of it."""
    return exit_code(result.exception) if isinstance(result.exception, HeadraceError) else result.exit_code


@pytest.mark.usefixtures("serving")
def test_submit_and_wait_prints_the_result(run: Run) -> None:
    result = run("submit", "greeter", '{"text": "hi"}', "--wait")

    assert (code(result), result.stdout) == (0, '"hi"\n')


def test_get_watches_a_job_until_it_ends(run: Run, worker: HandWorker) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()

    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(run, "get", job_id, "--watch", "--timeout", "30")
        [job] = worker.claim()
        worker.start(job)
        worker.say(job, 0.4, "denoising")
        worker.succeed(job)
        lines = watched.result().stdout.splitlines()
    records = run("get", job_id, "--watch", "--json").stdout.splitlines()

    assert lines[-1] == "succeeded  40% denoising"
    assert [json.loads(record)["result"] for record in records] == ["done"]


@pytest.mark.usefixtures("serving")
def test_submit_prints_an_id_that_wait_takes(run: Run) -> None:
    submitted = run("submit", "greeter", '{"text": "hi"}', "--tier", "standard")
    waited = run("wait", submitted.stdout.strip())

    assert waited.stdout == '"hi"\n'


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_lines_become_jobs_and_results_keep_their_order(run: Run, tmp_path: Path, source: str) -> None:
    texts = [f"line {i}" for i in range(20)]
    lines = "\n".join(json.dumps({"text": text}) for text in texts) + "\n\n"
    (tmp_path / "items.jsonl").write_text(lines)
    where = ["-f", str(tmp_path / "items.jsonl")] if source == "file" else ["-"]

    result = run("submit", "greeter", *where, "--wait", stdin=lines)

    assert texts == [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("serving")
def test_many_lines_are_handed_in_together_and_a_refused_one_names_its_field(run: Run) -> None:
    result = run("submit", "greeter", "--from", "-", stdin='{"text":"a"}\n{"text":5}\n{"text":"b"}\n')
    first, second, third = result.stdout.splitlines()

    assert code(result) == 2
    assert "/input/text" in json.loads(second)["error"]
    assert {first, third} == {json.loads(line)["id"] for line in run("jobs", "--json").stdout.splitlines()}


@pytest.mark.usefixtures("serving")
def test_a_failed_job_is_exit_code_1_and_the_others_results_are_printed(run: Run) -> None:
    result = run("submit", "greeter", "-", "--wait", stdin='{"text":"a"}\n{"text":"boom"}\n')

    assert code(result) == 1
    assert result.stdout.splitlines()[0] == '"a"'
    assert "it broke" in json.loads(result.stdout.splitlines()[1])["error"]


@pytest.mark.usefixtures("serving")
def test_json_prints_whole_records_also_of_failed_jobs(run: Run) -> None:
    result = run("submit", "greeter", '{"text":"boom"}', "--wait", "--json")

    assert json.loads(result.stdout)["status"] == "failed"
    assert code(result) == 1


def test_a_refused_input_is_exit_code_2_and_names_the_field(run: Run) -> None:
    result = run("submit", "greeter", '{"text": 5}')

    assert code(result) == 2
    assert "/input/text" in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [["greeter"], ["greeter", "hello"], ["greeter", "1", "--from", "x"], ["greeter", "-f", "no such file"]],
    ids=["no input", "not JSON", "two inputs", "no file"],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    assert code(run("submit", *arguments)) == 2


def test_time_over_is_exit_code_3_and_the_job_can_be_canceled(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()

    assert code(run("wait", job_id, "--timeout", "0.05")) == 3
    assert f"{job_id}  canceled\n" == run("cancel", job_id).stdout
    assert json.loads(run("get", job_id).stdout)["status"] == "canceled"
    assert code(run("wait", job_id)) == 1


def test_all_that_filters_mean_is_counted_and_then_canceled(run: Run) -> None:
    for number in "778":
        run("submit", "greeter", '{"text": "hi"}', "--metadata", f"run={number}")

    assert "2 jobs would be canceled; --confirm 2 does it" in run("cancel", "--all", "--metadata", "run=7").stdout
    assert code(run("cancel", "--all", "--metadata", "run=7", "--confirm", "1")) == 2
    done = json.loads(run("cancel", "--all", "--metadata", "run=7", "--confirm", "2", "--json").stdout)
    assert done == {"matched": 2, "canceled": 2, "canceling": 0, "ended": 0}
    assert run("jobs", "--json", "--status", "queued").stdout.count("\n") == 1
    assert [code(run("cancel")), code(run("cancel", "id", "--all")), code(run("cancel", "id", "--tier", "spot"))] == [
        2
    ] * 3


def test_an_unknown_id_keeps_no_other_from_being_canceled(run: Run) -> None:
    mine = run("submit", "greeter", '{"text": "hi"}').stdout.strip()

    result = run("cancel", "nobody", mine)

    assert code(result) == 2
    assert f"{mine}  canceled" == result.stdout.splitlines()[1]


def test_what_bounds_a_caller_is_shown(run: Run) -> None:
    assert ["bulk_jobs", "1000"] in [line.split() for line in run("limits").stdout.splitlines()]
    assert json.loads(run("limits", "--json").stdout)["bulk_jobs"] == 1000


def test_jobs_are_listed_by_filters(run: Run) -> None:
    named = run("submit", "greeter", '{"text": "hi"}', "--metadata", "customer=42").stdout.strip()
    run("submit", "greeter", '{"text": "hi"}', "--tier", "spot")

    def listed(*filters: str) -> list[str]:
        return [json.loads(line)["tier"] for line in run("jobs", "--json", *filters).stdout.splitlines()]

    assert named == json.loads(run("jobs", "--json", "--metadata", "customer=42").stdout)["id"]
    assert listed("--tier", "spot", "--status", "queued", "--model", "greeter") == ["spot"]
    assert listed("--before", "2020-01-01T00:00:00Z") == []
    assert code(run("jobs", "--metadata", "customer")) == 2


def test_lists_show_what_there_is(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()

    assert [job_id, "greeter@1", "standard", "queued"] == run("jobs").stdout.splitlines()[1].split()[:4]
    assert "standard  1" in run("queues").stdout
    assert "WORKER" in run("workers").stdout
    assert job_id == json.loads(run("jobs", "--json", "--limit", "1").stdout)["id"]


def test_a_model_is_warmed_before_its_jobs_come(run: Run) -> None:
    result = run("models", "warm", "greeter", "--for-s", "60")

    assert code(result) == 0
    assert result.stdout.startswith("greeter@1: loaded where it is served, and kept until ")


def test_where_models_are_is_shown_by_worker(run: Run, connection: SyncRedis, store: JobStore) -> None:
    models = {
        "m@1": ModelPresence(state=ModelState.READY, jobs=7),
        "n@1": ModelPresence(state=ModelState.LOADING, cold=True, parked=True, host_bytes=4_000_000),
        "n@2": ModelPresence(state=ModelState.LOADING, cold=True),
        "o@1": ModelPresence(state=ModelState.FAILED, error="no weights"),
    }
    worker = WorkerPresence(
        id="w",
        worker_class="gold",
        host="h",
        pid=1,
        device="cpu",
        tiers=(Tier.SPOT,),
        state=WorkerState.READY,
        started_ms=1,
        models=models,
    )
    connection.client.set(store.keys.worker("w"), worker.to_bytes())
    connection.client.zadd(store.keys.workers, {"w": 1})

    rows = [line.split() for line in run("models", "where").stdout.splitlines()]
    [parked] = run("models", "where", "n@1", "--json").stdout.splitlines()

    assert ["m@1", "w", "gold", "ready", "7"] == rows[1]
    assert ["n@1", "w", "gold", "parked", "4", "MB", "0"] == rows[2]
    assert [["n@2", "w", "gold", "cold", "0"], ["o@1", "w", "gold", "failed", "0", "no", "weights"]] == rows[3:]
    expected = {"model": "n@1", "worker": "w", "parked": True, "host_bytes": 4_000_000}
    assert expected.items() <= json.loads(parked).items()
    assert "n@1 (parked)" in run("workers").stdout


def test_a_list_among_the_options_is_written_as_json(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}', "--option", 'retry_on=["oom"]').stdout.strip()

    assert json.loads(run("get", job_id, "--json").stdout)["retry_on"] == ["oom"]


def test_versions_of_a_model_and_what_one_takes_are_shown(run: Run) -> None:
    head, row = (line.split() for line in run("models", "versions", "greeter").stdout.splitlines())
    [version] = run("models", "versions", "greeter", "--json").stdout.splitlines()
    schema = json.loads(run("models", "schema", "greeter@1").stdout)

    assert (head[:2], row[:3]) == (["VERSION", "STATE"], ["1", "serving", "100%"])
    assert json.loads(version)["digest"].startswith(row[3])
    assert schema["input_schema"]["required"] == ["text"]
    assert code(run("models", "schema", "greeter@7")) == 2


def test_a_model_that_is_not_known_cannot_be_warmed(run: Run) -> None:
    assert code(run("models", "warm", "nobody")) == 2


def test_a_job_is_amended_and_what_a_worker_has_is_not(run: Run, worker: HandWorker) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()

    told = run("amend", job_id, "--tier", "spot", "--deadline", "600")
    record = json.loads(run("amend", job_id, "--deadline", "none", "--metadata", "a=b", "--json").stdout)
    worker.claim(tier=Tier.SPOT)

    assert told.stdout == f"{job_id}  queued  spot\n"
    assert (record["tier"], record["times"]["deadline"], record["metadata"]) == ("spot", None, {"a": "b"})
    assert [2, 2] == [code(run("amend", job_id, *changes)) for changes in ([], ["--tier", "standard"])]


def test_jobs_of_another_tenant_are_listed_and_canceled(run: Run, connection: SyncRedis, store: JobStore) -> None:
    job = NewJob(id="j1", input=b"{}", tenant="acme", ref=ModelRef("greeter", 1), tier=Tier.STANDARD)
    connection.run(store.submit(job, cap=1))

    own, listed = run("jobs", "--json"), run("jobs", "--tenant", "acme", "--json")
    canceled = run("cancel", "--all", "--tenant", "acme", "--confirm", "1", "--json")

    assert (own.stdout, json.loads(listed.stdout)["id"]) == ("", "j1")
    assert json.loads(canceled.stdout)["canceled"] == 1


def test_a_job_gets_a_webhook_and_loses_it(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()

    given = json.loads(run("amend", job_id, "--webhook", "https://example.com/done", "--json").stdout)
    taken = json.loads(run("amend", job_id, "--webhook", "none", "--json").stdout)

    assert (given["webhook"]["url"], taken["webhook"]) == ("https://example.com/done", None)


def test_a_canceled_job_is_retried_under_a_new_id(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()
    refused = run("retry", job_id)
    run("cancel", job_id)

    first = run("retry", job_id).stdout.strip()
    again = json.loads(run("retry", job_id, "--json").stdout)

    assert code(refused) == 2
    assert first == again["id"] != job_id


def test_a_job_is_erased_also_twice_and_one_in_its_pass_keeps_its_record(run: Run, worker: HandWorker) -> None:
    waits = run("submit", "greeter", '{"text": "hi"}').stdout.strip()
    erased = [run("erase", waits).stdout, json.loads(run("erase", waits, "--json").stdout)]
    runs = run("submit", "greeter", '{"text": "hi"}').stdout.strip()
    [job] = worker.claim()
    worker.start(job)

    assert erased == [f"{waits}  erased\n", {"id": waits, "erased": True, "status": None}]
    assert run("erase", runs).stdout == f"{runs}  canceling: its record stays for now\n"
    assert [2, 2] == [code(run("get", waits)), code(run("erase", "never-was"))]


def test_an_estimate_is_printed_for_people_and_for_programs(run: Run) -> None:
    told = run("estimate", "greeter", '{"text": "hi"}').stdout
    said = json.loads(run("estimate", "greeter", '{"text": "hi"}', "--deadline", "PT1M", "--json").stdout)

    assert told.startswith("admissible  yes\nwaits for   ")
    assert (said["admissible"], said["tier"]) == (True, "standard")
    assert [2, 2] == [code(run("estimate", "greeter", value)) for value in ('{"text": 5}', "hello")]


def test_any_option_of_the_api_can_be_given(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}', "--option", "run_timeout_s=30", "--option", "deadline=PT9M")
    record = json.loads(run("get", job_id.stdout.strip(), "--json").stdout)
    refused = run("submit", "greeter", '{"text": "hi"}', "--option", "haste")

    assert (record["run_timeout_s"], record["times"]["deadline"] is None, code(refused)) == (30.0, False, 2)


@pytest.mark.usefixtures("serving")
def test_ids_are_read_from_a_pipe(run: Run) -> None:
    ids = run("submit", "greeter", "-", stdin='{"text":"a"}\n{"text":"b"}\n').stdout

    assert run("wait", "-", stdin=ids).stdout == '"a"\n"b"\n'


def test_a_job_that_is_gone_keeps_no_other_from_being_canceled(run: Run) -> None:
    [first, last] = run("submit", "greeter", "-", stdin='{"text":"a"}\n{"text":"b"}\n').stdout.split()

    result = run("cancel", first, "nobody", last)

    assert code(result) == 2
    assert [f"{first}  canceled", f"{last}  canceled"] == result.stdout.splitlines()[::2]


def test_a_line_that_was_refused_is_named(run: Run) -> None:
    result = run("submit", "greeter", "-", stdin='{"text":"a"}\n\n{"text":5}\n')

    assert "the first: line 3: /input/text" in str(result.exception)


@pytest.mark.usefixtures("serving")
def test_the_story_of_a_job_is_printed_for_people_and_for_programs(run: Run) -> None:
    job_id = run("submit", "greeter", '{"text": "hi"}').stdout.strip()
    run("wait", job_id)

    lines = run("timeline", job_id).stdout.splitlines()

    assert lines[0].split() == ["AT", "AFTER", "STEP", "DETAIL"]
    steps = [line.split()[3] for line in lines[1:] if line.startswith("20")]
    assert ["accepted", "succeeded"] == [steps[0], steps[-1]]
    assert any(line.startswith("ran ") and "of a batch of 1" in line for line in lines)
    assert json.loads(run("timeline", job_id, "--json").stdout)["id"] == job_id
