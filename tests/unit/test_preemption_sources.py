"""How each cloud says that a machine is taken away, and all that may be said instead."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.settings import Settings
from tests.metadata_services import AwsServer, AzureServer, GcpServer, MetadataServer, Reply
from workers.preemption.metadata import MetadataService
from workers.preemption.sources import AwsSource, AzureSource, FileSource, GcpSource, Source, source_of

EVERY_CLOUD = pytest.mark.parametrize("make", [AwsServer, GcpServer, AzureServer])

Opened = Callable[[type[MetadataServer]], MetadataServer]


@pytest.fixture
def opened() -> Iterator[Opened]:
    servers: list[MetadataServer] = []

    def open_one(make: type[MetadataServer]) -> MetadataServer:
        servers.append(make())
        return servers[-1]

    yield open_one
    for server in servers:
        server.close()


@pytest.fixture
def aws() -> Iterator[AwsServer]:
    server = AwsServer()
    yield server
    server.close()


@pytest.fixture
def azure() -> Iterator[AzureServer]:
    server = AzureServer()
    yield server
    server.close()


def source_at(server: MetadataServer) -> Source:
    source = source_of(Settings.model_validate({"preemption_watch": server.watch, "preemption_source": server.url}))
    assert source is not None
    return source


@EVERY_CLOUD
def test_as_long_as_the_machine_may_stay_there_is_no_notice(make: type[MetadataServer], opened: Opened) -> None:
    source = source_at(opened(make))

    assert None is source.look()
    assert None is source.look()


@EVERY_CLOUD
def test_a_notice_says_how_much_time_is_left(make: type[MetadataServer], opened: Opened) -> None:
    server = opened(make)
    server.take_away(in_s=30)

    notice = source_at(server).look()

    assert notice is not None
    assert 20 < notice.left_s <= 30


@EVERY_CLOUD
@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_error_is_no_notice_and_what_comes_after_it_counts(
    make: type[MetadataServer], status: int, opened: Opened
) -> None:
    server = opened(make)
    source = source_at(server)
    server.take_away(in_s=30)

    server.fault = Reply(status, "TRUE")
    with pytest.raises(ValueError, match=str(status)):
        source.look()
    server.fault = None

    assert source.look() is not None


@EVERY_CLOUD
@pytest.mark.parametrize("body", ["", "[]", "<html>captive portal</html>", "TRUE", '{"Events": [{}]}'])
def test_what_somebody_else_says_under_that_address_is_no_notice(
    make: type[MetadataServer], body: str, opened: Opened
) -> None:
    server = opened(make)
    server.fault = Reply(200, body)

    with pytest.raises((ValueError, LookupError)):
        source_at(server).look()


@EVERY_CLOUD
def test_a_redirect_is_not_followed(make: type[MetadataServer], opened: Opened) -> None:
    server = opened(make)
    server.fault = Reply(302, "", (("Location", f"{server.url}/elsewhere"), ("Metadata-Flavor", "Google")))

    with pytest.raises(ValueError, match="302"):
        source_at(server).look()

    assert not any("elsewhere" in request for request in server.requests)


def test_a_service_that_stays_silent_is_waited_for_no_longer_than_its_time_out(aws: AwsServer) -> None:
    aws.silence_s = 30
    source = AwsSource(MetadataService(aws.url, timeout_s=0.05))

    with pytest.raises(TimeoutError):
        source.look()

    aws.silence_s = 0
    assert None is source.look()


def test_a_service_that_is_not_there_is_an_error(aws: AwsServer) -> None:
    source = source_at(aws)
    aws.close()

    with pytest.raises(OSError, match="refused"):
        source.look()


def test_aws_is_asked_for_one_token_as_long_as_it_is_good(aws: AwsServer) -> None:
    source = source_at(aws)

    for _ in range(3):
        source.look()

    assert 1 == aws.requests.count("PUT /latest/api/token")


def test_aws_is_asked_for_another_token_when_the_first_has_run_out(aws: AwsServer) -> None:
    source = source_at(aws)
    source.look()
    aws.take_away(in_s=120)

    aws.tokens.clear()

    assert source.look() is not None
    assert 2 == aws.requests.count("PUT /latest/api/token")


def test_gcp_counts_only_with_the_mark_that_only_google_sets(opened: Opened) -> None:
    server = opened(GcpServer)
    server.fault = Reply(200, "TRUE")

    with pytest.raises(ValueError, match="Metadata-Flavor"):
        GcpSource(MetadataService(server.url)).look()


def test_azure_tells_of_other_machines_and_other_events_that_do_not_concern_this_one(azure: AzureServer) -> None:
    soon = time.time() + 30
    azure.others = [
        azure.event("Preempt", "worker_4", goes_at=soon),
        azure.event("Reboot", azure.name, goes_at=soon),
    ]

    assert None is AzureSource(MetadataService(azure.url)).look()


def test_azure_leaves_no_time_once_the_event_has_begun(azure: AzureServer) -> None:
    azure.others = [azure.event("Preempt", azure.name, goes_at=None)]

    notice = AzureSource(MetadataService(azure.url)).look()

    assert notice is not None
    assert 0 == notice.left_s


def test_a_file_is_a_notice_as_soon_as_it_is_there(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "notice", left_s=25)
    assert None is source.look()

    (tmp_path / "notice").touch()

    notice = source.look()
    assert notice is not None
    assert 25 == notice.left_s


def test_nobody_is_asked_unless_it_is_set() -> None:
    assert None is source_of(Settings())


def test_a_file_must_be_named() -> None:
    with pytest.raises(ValueError, match="preemption_source"):
        Settings.model_validate({"preemption_watch": "file"})
