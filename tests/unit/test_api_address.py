"""The API knows no users, so it listens where nobody else can reach it, or says loudly that it does not."""

from pathlib import Path

import pytest

from api.__main__ import make_server
from headrace.errors import SettingsError
from headrace.network import is_loopback
from headrace.settings import Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what these tests are about


def settings_for(folder: Path, **chosen: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, **chosen})


def test_the_refusal_names_the_way_out_of_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_API_INSECURE_BIND=true"):
        make_server(settings_for(tmp_path, api_host=EVERYWHERE))


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
