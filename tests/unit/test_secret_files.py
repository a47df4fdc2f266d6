"""Secrets may stand in files, and Redis' password apart from its URL."""

import os
from pathlib import Path

import pytest

from headrace.environments import as_environment
from headrace.errors import SettingsError
from headrace.secret_files import with_password
from headrace.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CONFIG", os.devnull)


def test_a_value_is_read_from_the_file_that_its_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("operator:pass-word\n")
    monkeypatch.setenv("HEADRACE_FLOWER_AUTH_FILE", str(tmp_path / "secret"))

    assert Settings().flower_auth == "operator:pass-word"


def test_structured_values_are_read_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "classes").write_text('{"gpu": {"device": "cuda"}}')
    monkeypatch.setenv("HEADRACE_WORKER_CLASSES_FILE", str(tmp_path / "classes"))

    assert Settings().worker_classes["gpu"].device == "cuda"


def test_a_file_goes_over_the_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text('cell = "c2"')
    (tmp_path / "cell").write_text("c3")
    monkeypatch.setenv("HEADRACE_CONFIG", str(tmp_path / "headrace.toml"))
    monkeypatch.setenv("HEADRACE_CELL_FILE", str(tmp_path / "cell"))

    assert Settings().cell == "c3"


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_REDIS_PASSWORD_FILE", "/no/such/file")

    with pytest.raises(SettingsError, match=r"HEADRACE_REDIS_PASSWORD_FILE: '/no/such/file' cannot be read"):
        Settings()


def test_a_value_and_its_file_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("b")
    monkeypatch.setenv("HEADRACE_REDIS_PASSWORD", "a")
    monkeypatch.setenv("HEADRACE_REDIS_PASSWORD_FILE", str(tmp_path / "secret"))

    with pytest.raises(SettingsError, match="both set; keep one"):
        Settings()


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("redis://redis:6379/0", "a", "redis://:a@redis:6379/0"),
        ("rediss://user@redis:6379/0", "a", "rediss://user:a@redis:6379/0"),
        ("redis://:kept@redis/0", "a", "redis://:kept@redis/0"),
        ("redis://redis/0", "a/b@c:d", "redis://:a%2Fb%40c%3Ad@redis/0"),
        ("unix:///run/redis.sock?db=1", "a", "unix://:a@/run/redis.sock?db=1"),
        ("redis://redis/0", "", "redis://redis/0"),
    ],
)
def test_a_password_is_put_into_a_url_without_one(url: str, password: str, expected: str) -> None:
    assert expected == with_password(url, password)


def test_the_password_reaches_the_url_also_in_a_child_process_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(redis_url="redis://redis:6379/0", redis_password="s3cret", flower_auth="a:s3cret")

    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    child = Settings()

    assert settings.redis_url == child.redis_url == "redis://:s3cret@redis:6379/0"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("auth", ["nobody", ":password", "name:", "a:b,", "a:b c:d"])
def test_half_a_credential_for_flower_is_refused(auth: str) -> None:
    with pytest.raises(ValueError, match="flower_auth"):
        Settings(flower_auth=auth)
