"""API keys: who may ask, for which tenant, and for what. Pure.

A key is written `sk_<id>_<secret>`. The id finds the record; the secret has 256 random bits, so its SHA-256 is all that
is kept, and needs no salt: nobody can go through 2^256 of them. Who loses the text makes another key.
"""

import hashlib
import hmac
import re
import secrets
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from headrace.reading import WHOLE
from headrace.tenant_store import Rate

_ID_BYTES = 6
_SECRET_BYTES = 32
_TEXT = re.compile(r"sk_([0-9a-f]{12})_([0-9a-f]{64})\Z")

#: What a tenant may be called: it stands in keys, leases and ids.
TENANT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
TenantName = Annotated[str, Field(pattern=TENANT_PATTERN)]


def matches_tenant(name: str) -> bool:
    """Tell whether a tenant may be called so."""
    return re.fullmatch(TENANT_PATTERN, name) is not None


class Scope(StrEnum):
    """What a key allows."""

    #: Its tenant's jobs, results, deliveries, usage; the released models.
    READ = "read"
    #: Hand in, change and cancel jobs of its tenant.
    SUBMIT = "submit"
    #: What goes on in the whole system: queues, workers, scaling.
    OBSERVE = "observe"
    #: Change which models there are.
    MODELS_WRITE = "models:write"
    #: Keys and limits of all tenants, queues; and whatever the others allow.
    ADMIN = "admin"


#: What a key allows if nothing is said.
DEFAULT_SCOPES = (Scope.READ, Scope.SUBMIT)


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(BaseModel):
    """A key as it is kept: everything but its secret. Times are Unix milliseconds; 0 means never."""

    model_config = ConfigDict(frozen=True)

    id: str
    tenant: TenantName
    scopes: tuple[Scope, ...]
    #: SHA-256 of the secret in hexadecimal digits.
    digest: str
    name: str = ""
    created_ms: int
    expires_ms: int = 0
    revoked_ms: int = 0

    def state(self, now_ms: int) -> KeyState:
        """Whether it opens anything now."""
        if self.revoked_ms:
            return KeyState.REVOKED
        return KeyState.EXPIRED if 0 < self.expires_ms <= now_ms else KeyState.ACTIVE

    def admits(self, secret: str) -> bool:
        """Tell whether this is its secret; takes as long whatever is wrong with it."""
        return hmac.compare_digest(self.digest, _digest(secret))

    def revoked(self, now_ms: int) -> "ApiKey":
        """The same key, never to open anything again; the first revocation stands."""
        return self.model_copy(update={"revoked_ms": self.revoked_ms or now_ms})


class MadeKey(NamedTuple):
    """A new key, and its text, which is shown once and kept nowhere."""

    key: ApiKey
    text: str


class KeyRequest(BaseModel):
    """What a new key is to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: TenantName = Field(description="Whose jobs it leads to.")
    scopes: tuple[Scope, ...] = Field(DEFAULT_SCOPES, min_length=1, description="What it allows.")
    name: str = Field("", max_length=100, description="For people: who uses it, and where.")
    expires_in_s: Annotated[int, Field(strict=True, ge=1, le=10 * 366 * 86_400), WHOLE] | None = Field(
        None, description="It opens nothing after so long."
    )
    requests: Rate | None = Field(None, description="How often it may ask, within what its tenant may.")


class KeyChange(BaseModel):
    """What is to be set for a key; what is not named stays, null takes it away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Rate | None = Field(None, description="How often it may ask; null: as often as its tenant may.")


def make_key(request: KeyRequest, *, now_ms: int) -> MadeKey:
    """A key of fresh random bytes."""
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        tenant=request.tenant,
        scopes=tuple(dict.fromkeys(request.scopes)),
        digest=_digest(secret),
        name=request.name,
        created_ms=now_ms,
        expires_ms=now_ms + request.expires_in_s * 1000 if request.expires_in_s else 0,
    )
    return MadeKey(key, f"sk_{key_id}_{secret}")


def split_key(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None if it is none."""
    match = _TEXT.match(text)
    return (match[1], match[2]) if match else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
