"""The headers of an attempt, signed."""

from collections.abc import Sequence

from headrace.webhook_signature import signature


def signed_headers(event_id: str, timestamp_s: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers of an attempt, with a signature by each of the keys: while a secret is replaced, by both."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signature(key, event_id, timestamp_s, body) for key in keys),
    }
