"""At an address that others can reach, the API demands keys, or says loudly that it does not."""

from pathlib import Path

import pytest

from api.__main__ import make_server
from headrace.network import is_loopback
from headrace.settings import Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what these tests are about


def settings_for(folder: Path, **chosen: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, **chosen})


@pytest.mark.parametrize(
    ("host", "is_insecure", "are_demanded"),
    [(EVERYWHERE, False, True), (EVERYWHERE, True, False), ("127.0.0.1", False, False), ("127.0.0.1", True, False)],
)
def test_keys_are_demanded_where_others_may_come_unless_that_is_given_up(
    tmp_path: Path, host: str, is_insecure: bool, are_demanded: bool
) -> None:
    settings = settings_for(tmp_path, api_host=host, api_insecure_bind=is_insecure)

    assert settings.api_demands_keys == are_demanded


def test_an_address_that_demands_keys_says_how_to_make_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    make_server(settings_for(tmp_path, api_host=EVERYWHERE))

    assert "headrace keys create" in caplog.text
    assert "INSECURE" not in caplog.text


def test_an_open_address_is_used_when_told_so_and_the_log_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server(settings_for(tmp_path, api_host=EVERYWHERE, api_insecure_bind=True))

    assert server.config.host == EVERYWHERE
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "INSECURE" in warning.getMessage()


def test_on_loopback_the_setting_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_server(settings_for(tmp_path, api_insecure_bind=True))

    assert "INSECURE" not in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_addresses_of_this_host_only(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.0.0.1", "localhost.example.org", "", "api"])
def test_addresses_that_others_may_reach(host: str) -> None:
    assert not is_loopback(host)
