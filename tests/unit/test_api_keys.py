"""API keys as values: what is kept of them, when they open something, and what requests need."""

import pytest

from api.callers import Caller
from api.scopes import scope_needed
from headrace.api_keys import ApiKey, KeyRequest, KeyState, MadeKey, Scope, make_key, split_key

NOW_MS = 1_000_000


def made(**chosen: object) -> MadeKey:
    return make_key(KeyRequest.model_validate({"tenant": "acme", **chosen}), now_ms=NOW_MS)


def test_a_key_is_its_id_and_256_random_bits_of_which_only_a_hash_is_kept() -> None:
    key, text = made()

    key_id, secret = split_key(text) or ("", "")
    assert (key.id, 256) == (key_id, 4 * len(secret))
    assert secret not in key.model_dump_json()
    assert key.admits(secret)


def test_no_two_keys_are_alike() -> None:
    texts = {made().text for _ in range(100)}

    assert len({text[:15] for text in texts}) == len({text[15:] for text in texts}) == 100


@pytest.mark.parametrize("spoil", [str.upper, lambda text: text + "0", lambda text: text[:-1], lambda _: "", str.strip])
def test_only_the_very_text_is_a_keys(spoil: object) -> None:
    key, text = made()
    assert callable(spoil)

    parts = split_key(spoil(text + "\n") if spoil is str.strip else spoil(text))

    assert (parts is not None and key.admits(parts[1])) == (spoil is str.strip)


def test_another_secret_opens_nothing() -> None:
    key, other = made().key, split_key(made().text)

    assert other is not None
    assert not key.admits(other[1])


@pytest.mark.parametrize(
    ("expires_in_s", "now_ms", "state"),
    [
        (None, NOW_MS * 10**6, KeyState.ACTIVE),
        (60, NOW_MS + 59_999, KeyState.ACTIVE),
        (60, NOW_MS + 60_000, KeyState.EXPIRED),
    ],
)
def test_a_key_expires_when_it_was_said_to(expires_in_s: int | None, now_ms: int, state: KeyState) -> None:
    assert state == made(expires_in_s=expires_in_s).key.state(now_ms)


def test_a_revoked_key_stays_revoked_since_the_first_time() -> None:
    once = made(expires_in_s=60).key.revoked(NOW_MS + 1)

    assert once == once.revoked(NOW_MS + 2)
    assert once.state(NOW_MS + 3) is once.state(NOW_MS * 2) is KeyState.REVOKED


@pytest.mark.parametrize("tenant", ["", "A", "a/b", "a:b", "a#b", "a b", "-a", "a" * 33, "a\n"])
def test_a_tenant_is_named_so_that_it_stays_one_part_of_a_key(tenant: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        KeyRequest(tenant=tenant)


def test_a_key_is_read_back_as_it_was_written() -> None:
    key = made(scopes=["admin", "models:write"], name="ci", expires_in_s=5).key

    assert key == ApiKey.model_validate_json(key.model_dump_json())


# --- scopes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/livez", None),
        ("GET", "/metrics", None),
        ("GET", "/v1/jobs", Scope.READ),
        ("GET", "/v1/whatever-comes-later", Scope.READ),
        ("POST", "/v1/whatever-comes-later", Scope.SUBMIT),
        ("POST", "/v1/jobs", Scope.SUBMIT),
        ("DELETE", "/v1/jobs/x", Scope.SUBMIT),
        ("GET", "/v1/models/m", Scope.READ),
        ("POST", "/v1/models/m/warm", Scope.MODELS_WRITE),
        ("GET", "/v1/workers", Scope.OBSERVE),
        ("POST", "/v1/queues/q/pause", Scope.ADMIN),
        ("GET", "/v1/keys", Scope.ADMIN),
        ("BREW", "/v1/keys", Scope.ADMIN),
        ("BREW", "/v1/jobs", Scope.SUBMIT),
    ],
)
def test_what_a_request_needs_depends_on_its_path_and_method(method: str, path: str, scope: Scope | None) -> None:
    assert scope == scope_needed(method, path)


def test_an_admin_may_do_everything_and_others_what_their_key_says() -> None:
    reader = Caller("acme", "id", (Scope.READ,))

    assert [scope for scope in Scope if reader.may(scope)] == [Scope.READ]
    assert all(Caller("acme", "id", (Scope.ADMIN,)).may(scope) for scope in Scope)
