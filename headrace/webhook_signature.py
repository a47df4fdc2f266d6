"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, made and verified."""

import base64
import hmac
from collections.abc import Mapping, Sequence

#: How far a sender's clock may be off, and how long an event that was listened to can be sent again by others.
TOLERANCE_S = 300
_VERSION = "v1,"


def signature(key: bytes, event_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature as it stands in the header: `v1,` and base64."""
    text = f"{event_id}.{timestamp_s}.".encode() + body
    return _VERSION + base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def signed_headers(event_id: str, timestamp_s: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers of an attempt, with a signature by each of the keys: while a secret is replaced, by both."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signature(key, event_id, timestamp_s, body) for key in keys),
    }


def problem_of(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now_s: float) -> str:
    """Why an event is not believed; empty if one of the keys signed it and it is not old.

    Args:
        keys: of the secrets that may sign.
        headers: of the request, names in lower case.
        body: as it came, byte for byte.
        now_s: Unix seconds.
    """
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if name not in headers]
    if missing:
        return f"it has no header {missing[0]}"
    event_id, moment = headers["webhook-id"], headers["webhook-timestamp"]
    if not (moment.isascii() and moment.isdecimal()):
        return "its webhook-timestamp is no number of seconds"
    if abs(now_s - int(moment)) > TOLERANCE_S:
        return f"it is {now_s - int(moment):.0f} s old"
    shown = [text for text in headers["webhook-signature"].split() if text.startswith(_VERSION)]
    right = [signature(key, event_id, int(moment), body) for key in keys]
    if any(hmac.compare_digest(one.encode(), other.encode()) for one in shown for other in right):
        return ""
    return "no secret of ours signed it"
