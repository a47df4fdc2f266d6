"""Settings: where they come from, what wins, and how mistakes are told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.environments import as_environment, child_environment
from headrace.errors import SettingsError
from headrace.settings import Settings, get_settings
from headrace.settings_file import unknown_variables
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass, default_worker_classes


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [f"HEADRACE_{field.upper()}" for field in Settings.model_fields]:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "headrace.toml").touch()
    monkeypatch.setenv("HEADRACE_CONFIG", str(tmp_path / "headrace.toml"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_everything_has_a_default_and_a_line_of_help() -> None:
    Settings()

    fields = [*Settings.model_fields.values(), *WorkerClass.model_fields.values()]
    assert all(field.description for field in fields)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text('cell = "c7"\napi_port = 9000\n')
    monkeypatch.setenv("HEADRACE_API_PORT", "9001")

    settings = get_settings()

    assert (settings.cell, settings.api_port) == ("c7", 9001)


def test_worker_classes_are_written_as_tables(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text('[worker_classes.spot]\ntiers = ["spot"]\nmax_workers = 3\n')

    [(name, worker_class)] = get_settings().worker_classes.items()

    assert (name, worker_class.tiers, worker_class.max_workers, worker_class.device) == ("spot", (Tier.SPOT,), 3, "cpu")


def test_nested_values_are_written_with_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_WORKER_CLASSES__SPOT__MAX_WORKERS", "2")

    assert get_settings().worker_classes["spot"].max_workers == 2


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HEADRACE_API_PORT", "eighty"),
        ("HEADRACE_CELL", "C 1"),
        ("HEADRACE_MAX_ATTEMPTS", "0"),
        ("HEADRACE_LEASE_MS", "1"),
        ("HEADRACE_LOG_LEVEL", "LOUD"),
        ("HEADRACE_WORKER_CLASSES__SPOT__MAX_WORKERS", "-1"),
        ("HEADRACE_WORKER_CLASSES__SPOT__SPEED", "9"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=variable):
        get_settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().cell = "c2"  # type: ignore[misc] # that it is read-only is what this test is about


def test_a_child_process_gets_exactly_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings(
        cell="c5",
        data_dir=Path("elsewhere"),
        max_wait_s=7.5,
        worker_classes={"spot": WorkerClass(tiers=(Tier.SPOT,), max_workers=2)},
    )
    for name, value in as_environment(chosen).items():
        monkeypatch.setenv(name, value)

    assert chosen == get_settings()


def test_the_registry_lies_in_the_data_folder_unless_said_otherwise(tmp_path: Path) -> None:
    assert (tmp_path / "registry").as_uri() == Settings(data_dir=tmp_path).registry_location
    assert Settings(registry_url="s3://models").registry_location == "s3://models"


def test_a_models_process_gets_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")

    environment = child_environment(threads=3)

    # The latter is what tokenizers go by.
    assert ("3", "3") == (environment["OMP_NUM_THREADS"], environment["RAYON_NUM_THREADS"])


def test_there_can_be_no_more_workers_than_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_WORKER_CLASSES__SPOT__MIN_WORKERS", "3")
    monkeypatch.setenv("HEADRACE_WORKER_CLASSES__SPOT__MAX_WORKERS", "2")

    with pytest.raises(SettingsError, match=r"MAX_WORKERS: .*2 is less than min_workers, 3"):
        get_settings()


def test_without_settings_spot_capacity_serves_no_priority_and_goes_to_zero() -> None:
    classes = default_worker_classes(cores=8)

    assert list(classes) == ["on-demand", "spot"]
    assert Tier.PRIORITY in classes["on-demand"].tiers
    assert Tier.PRIORITY not in classes["spot"].tiers
    assert [(1, 8), (0, 4)] == [(kind.min_workers, kind.max_workers) for kind in classes.values()]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"memory_bytes": 10, "host_memory_bytes": 10}, "device cpu has no memory beside the host's"),
        ({"device": "cuda", "host_memory_bytes": 10}, "nothing makes way without a limit; set memory_bytes as well"),
    ],
)
def test_models_stay_in_host_memory_only_beside_a_device_whose_memory_is_limited(
    table: dict[str, object], why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        WorkerClass.model_validate(table)


def test_a_class_with_a_device_may_have_host_memory_for_its_models() -> None:
    assert 10 == WorkerClass(device="cuda", memory_bytes=10, host_memory_bytes=10).host_memory_bytes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lease_ms = [", "headrace.toml cannot be read"),
        ("lease_mss = 5000", "'lease_mss' is no setting; did you mean lease_ms"),
        ('lease_ms = "long"', "lease_ms in .*headrace.toml: "),
        ("[worker_classes.spot]\nmax_workers = -1", "worker_classes.spot.max_workers in .*headrace.toml: "),
        ('preemption_watch = "file"', "cannot be used: preemption_watch=file needs"),
    ],
)
def test_a_mistake_in_the_file_is_told_by_its_place(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "headrace.toml").write_text(text)

    with pytest.raises(SettingsError, match=says):
        get_settings()


def test_a_file_that_is_named_and_not_there_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADRACE_CONFIG", str(tmp_path / "nowhere.toml"))

    with pytest.raises(SettingsError, match=r"there is no file '.*nowhere.toml'"):
        get_settings()


def test_variables_that_do_nothing_are_found() -> None:
    fields = ("lease_ms", "worker_classes", "redis_password")
    known = (
        "HEADRACE_LEASE_MS",
        "HEADRACE_WORKER_CLASSES__SPOT__DEVICE",
        "HEADRACE_REDIS_PASSWORD_FILE",
        "HEADRACE_CONFIG",
    )

    found = unknown_variables(fields, dict.fromkeys((*known, "HEADRACE_LEASE", "PATH"), ""))

    assert ["HEADRACE_LEASE"] == found
