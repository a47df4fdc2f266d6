"""The calls of those who look after the system: what there is, what was used, told and given up."""

from datetime import date
from typing import Any

from headrace.http_call import HttpCall, at, read_document, read_items, read_record, with_query
from headrace.job_record import JobRecord


def listing(name: str) -> HttpCall[list[dict[str, Any]]]:
    """What `/v1/models`, `/v1/queues` or `/v1/workers` lists."""
    return HttpCall(method="GET", path=f"/v1/{name}", read=read_items(name))


def pause_queue(name: str, *, reason: str) -> HttpCall[dict[str, Any]]:
    """Have no worker take jobs of a queue any more."""
    path = with_query(f"{at('queues', name)}/pause", {"reason": reason or None})
    return HttpCall(method="POST", path=path, read=read_document)


def resume_queue(name: str) -> HttpCall[dict[str, Any]]:
    """Have workers take jobs of a queue again."""
    return HttpCall(method="POST", path=f"{at('queues', name)}/resume", read=read_document)


def purge_queue(name: str, *, confirm: int | None) -> HttpCall[dict[str, Any]]:
    """Cancel what waits in a queue, if it is no more than `confirm`; without it only count."""
    path = with_query(f"{at('queues', name)}/purge", {"confirm": confirm})
    return HttpCall(method="POST", path=path, read=read_document)


def warm(model: str, *, for_s: int) -> HttpCall[dict[str, Any]]:
    """Have a model loaded before its jobs come."""
    return HttpCall(method="POST", path=with_query(f"{at('models', model)}/warm", {"for_s": for_s}), read=read_document)


def model_versions(model: str, *, limit: int, before: int | None) -> HttpCall[dict[str, Any]]:
    """Versions of a model, the newest first."""
    path = with_query(f"{at('models', model)}/versions", {"limit": limit, "before": before})
    return HttpCall(method="GET", path=path, read=read_document)


def model_schema(model: str) -> HttpCall[dict[str, Any]]:
    """What a version takes and gives."""
    name, _, version = model.partition("@")
    return HttpCall(
        method="GET", path=with_query(f"{at('models', name)}/schema", {"version": version or None}), read=read_document
    )


def document(name: str) -> HttpCall[dict[str, Any]]:
    """What `/v1/limits` or `/v1/scaling` says."""
    return HttpCall(method="GET", path=f"/v1/{name}", read=read_document)


def usage(*, first: date | str | None, last: date | str | None, tenant: str | None) -> HttpCall[list[dict[str, Any]]]:
    """What tenants had, by day, model version and tier."""
    path = with_query("/v1/usage", {"from": first, "to": last, "tenant": tenant})
    return HttpCall(method="GET", path=path, read=read_items("usage"))


def webhook_deliveries(*, limit: int = 50) -> HttpCall[list[dict[str, Any]]]:
    """What was told to webhooks, newest first."""
    return HttpCall(
        method="GET", path=with_query("/v1/webhook-deliveries", {"limit": limit}), read=read_items("deliveries")
    )


def replay_webhook(delivery_id: str) -> HttpCall[dict[str, Any]]:
    """Have a webhook delivered again."""
    return HttpCall(method="POST", path=f"{at('webhook-deliveries', delivery_id)}/replay", read=read_document)


def replay_webhooks(*, status: str, since: str | None, limit: int) -> HttpCall[list[str]]:
    """Have many webhooks delivered again."""
    path = with_query("/v1/webhook-deliveries:replay", {"status": status, "since": since, "limit": limit})
    return HttpCall(method="POST", path=path, read=read_items("replayed"))


def dead_letters(
    *, limit: int = 50, model: str | None = None, cause: str | None = None
) -> HttpCall[list[dict[str, Any]]]:
    """Jobs that were given up, newest first."""
    path = with_query("/v1/dead-letters", {"limit": limit, "model": model, "cause": cause})
    return HttpCall(method="GET", path=path, read=read_items("dead_letters"))


def dead_letter(job_id: str) -> HttpCall[dict[str, Any]]:
    """A job that was given up, with its input."""
    return HttpCall(method="GET", path=at("dead-letters", job_id), read=read_document)


def redrive(job_id: str) -> HttpCall[JobRecord]:
    """Send a job that was given up again."""
    return HttpCall(method="POST", path=f"{at('dead-letters', job_id)}/redrive", read=read_record)
