"""Every error Headrace raises, in one tree.

    HeadraceError
    ├── RequestError                 the caller can mend it
    │   ├── MalformedRequest         400
    │   ├── Unauthenticated          401
    │   ├── Forbidden                403
    │   ├── NotFound                 404
    │   │   ├── JobNotFound          404
    │   │   ├── DeliveryNotFound          404
    │   │   ├── EndpointNotFound     404
    │   │   ├── KeyNotFound          404
    │   │   ├── QueueNotFound        404
    │   │   └── ModelNotFound        404
    │   ├── MethodNotAllowed         405
    │   ├── RequestTimeout           408
    │   ├── Conflict                 409
    │   │   ├── JobNotSucceeded      409
    │   │   ├── JobEnded             409
    │   │   ├── NotADeadLetter       409
    │   │   ├── JobNotWaiting        409
    │   │   ├── NotRetryable         409
    │   │   └── DeadlineUnattainable 409
    │   ├── JobExpired               410
    │   ├── BodyTooLarge             413
    │   ├── UnsupportedMediaType     415
    │   ├── RangeNotSatisfiable      416
    │   ├── InvalidInput             422
    │   ├── IdempotencyMismatch      422
    │   ├── BulkRefused              422
    │   ├── RateLimited              429
    │   │   ├── TooManyOpenRequests  429
    │   │   └── TooManyOpenWaits     429
    │   ├── QueueFull                429
    │   │   ├── TenantQueueFull      429
    │   │   └── WaitTooLong          429
    │   └── HeadersTooLarge          431
    ├── Unavailable                  503, try again
    │   ├── TooManyConnections       503
    │   ├── RedisUnavailable         503
    │   ├── NotDurable               503
    │   └── StoreUnavailable         503
    ├── WaitTimeout                  504, raised by clients: the job goes on
    ├── ModelError                   a model, its files or its code
    │   ├── InputError               raised by a model author: only this job fails
    │   ├── InvalidModel             what was pushed cannot be served
    │   ├── ModelFilesError          a file of a version is missing or not what its manifest says
    │   └── VersionExists            somebody published this version first
    ├── SettingsError                a setting has no usable value
    └── InternalError                500, our fault

Each class carries its `code` (stable, for programs) and its HTTP `status`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One problem with one field: `pointer` is an RFC 6901 JSON pointer into the request body."""

    pointer: str
    detail: str
    code: str = "invalid"


class HeadraceError(Exception):
    """Anything that Headrace raises on purpose.

    Args:
        detail: one sentence that names the problem's value and the way out.
        fields: the fields of the request that are wrong, if any.
        retry_after_s: when the same request may succeed.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, fields: Sequence[FieldError] = (), retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)
        self.retry_after_s = retry_after_s


class RequestError(HeadraceError):
    """Raised when the caller's request cannot be served as it stands."""

    code = "bad_request"
    status = 400
    title = "The request cannot be served"


class MalformedRequest(RequestError):
    """Raised when a body or header cannot be parsed."""

    code = "malformed_request"
    title = "The request is malformed"


class Unauthenticated(RequestError):
    """Raised when a key is demanded and none is shown, or one that opens nothing."""

    code = "unauthenticated"
    status = 401
    title = "An API key is needed"


class Forbidden(RequestError):
    """Raised when a key does not allow what was asked."""

    code = "forbidden"
    status = 403
    title = "The API key does not allow this"


class NotFound(RequestError):
    """Raised when a path leads nowhere."""

    code = "not_found"
    status = 404
    title = "Not found"


class JobNotFound(NotFound):
    """Raised for a job id that this system never gave out, or gave to another tenant."""

    code = "job_not_found"
    title = "No such job"


class DeliveryNotFound(NotFound):
    """Raised when no webhook of a job that has ended and is still kept has the id that was asked for."""

    code = "delivery_not_found"
    title = "No such delivery"


class EndpointNotFound(NotFound):
    """Raised when no registered receiver of webhooks has the id that was asked for."""

    code = "endpoint_not_found"
    title = "No such endpoint"


class KeyNotFound(NotFound):
    """Raised when no API key has the id that was asked for."""

    code = "key_not_found"
    title = "No such API key"


class QueueNotFound(NotFound):
    """Raised when no model version and tier is called so, or it has neither traffic nor jobs."""

    code = "queue_not_found"
    title = "No such queue"


class ModelNotFound(NotFound):
    """Raised when no released version carries the name that was asked for."""

    code = "model_not_found"
    title = "No such model"


class MethodNotAllowed(RequestError):
    """Raised when a path exists but not for this method."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class RequestTimeout(RequestError):
    """Raised when a request does not come in within the time that is given to it."""

    code = "request_timeout"
    status = 408
    title = "The request came too slowly"


class Conflict(RequestError):
    """Raised when the state of a thing forbids what was asked."""

    code = "conflict"
    status = 409
    title = "The state does not allow this"


class JobNotSucceeded(Conflict):
    """Raised when the result of a job is asked for that ended without one."""

    code = "job_not_succeeded"
    title = "The job has no result"


class JobEnded(Conflict):
    """Raised when a job is to be canceled that has ended in another way, and that was to be said."""

    code = "job_ended"
    title = "The job has ended"


class NotADeadLetter(Conflict):
    """Raised when a job is to be sent again that did not fail."""

    code = "not_a_dead_letter"
    title = "The job did not fail"


class JobNotWaiting(Conflict):
    """Raised when a job is to be changed that a worker has taken, or that has ended."""

    code = "job_not_waiting"
    title = "The job does not wait any more"


class NotRetryable(Conflict):
    """Raised when a job is to be tried again that has not ended, or has succeeded."""

    code = "not_retryable"
    title = "The job cannot be tried again"


class DeadlineUnattainable(Conflict):
    """Raised when a job would end after its deadline, and is to be refused rather than be late."""

    code = "deadline_unattainable"
    title = "The deadline cannot be kept"


class JobExpired(RequestError):
    """Raised for an authentic job id whose record has passed its retention."""

    code = "job_expired"
    status = 410
    title = "The job is no longer kept"


class BodyTooLarge(RequestError):
    """Raised when a request body passes the limit."""

    code = "body_too_large"
    status = 413
    title = "The body is too large"


class UnsupportedMediaType(RequestError):
    """Raised when a body is not `application/json`."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class RangeNotSatisfiable(RequestError):
    """Raised when a part of a result is asked for that it does not have."""

    code = "range_not_satisfiable"
    status = 416
    title = "The result has no such part"


class InvalidInput(RequestError):
    """Raised when fields are missing, unknown or of the wrong type or value."""

    code = "invalid_input"
    status = 422
    title = "The request does not fit the schema"


class IdempotencyMismatch(RequestError):
    """Raised when an Idempotency-Key comes again with another body."""

    code = "idempotency_mismatch"
    status = 422
    title = "The idempotency key was used for another request"


class BulkRefused(RequestError):
    """Raised when all or none of many jobs were to be accepted and some cannot be; none was."""

    code = "bulk_refused"
    status = 422
    title = "None of the jobs was accepted"


class RateLimited(RequestError):
    """Raised when a tenant asks more often than it may."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"
    retryable = True


class TooManyOpenRequests(RateLimited):
    """Raised when a tenant has as many requests open in an API process as it may have at once."""

    code = "too_many_open_requests"
    title = "Too many requests are open"


class TooManyOpenWaits(RateLimited):
    """Raised when as many requests of a tenant wait in an API process as may at once."""

    code = "too_many_open_waits"
    title = "Too many requests wait"


class HeadersTooLarge(RequestError):
    """Raised when request line and header fields pass the limit."""

    code = "headers_too_large"
    status = 431
    title = "The header fields are too large"


class QueueFull(RequestError):
    """Raised when as many jobs wait as the queue may hold."""

    code = "queue_full"
    status = 429
    title = "The queue is full"
    retryable = True


class TenantQueueFull(QueueFull):
    """Raised when as many jobs of a tenant wait, over all its queues, as may."""

    code = "tenant_queue_full"
    title = "Too many of the tenant's jobs wait"


class WaitTooLong(QueueFull):
    """Raised when a job would wait longer than jobs of its tier may."""

    code = "wait_too_long"
    title = "The job would wait too long"


class Unavailable(HeadraceError):
    """Raised when a part that is needed does not answer."""

    code = "unavailable"
    status = 503
    title = "Temporarily unavailable"
    retryable = True


class TooManyConnections(Unavailable):
    """Raised when all connections that an API process may have are busy."""

    code = "too_many_connections"
    title = "Too many connections"


class RedisUnavailable(Unavailable):
    """Raised when Redis cannot be reached or refuses to write."""

    code = "redis_unavailable"
    title = "The queue's storage does not answer"


class NotDurable(Unavailable):
    """Raised under strict durability when the disk of Redis is not known to have followed."""

    code = "not_durable"
    title = "The disk of the queue's storage has not followed"


class StoreUnavailable(Unavailable):
    """Raised when the object store of the models does not answer, or breaks off."""

    code = "store_unavailable"
    title = "The models' storage does not answer"


class WaitTimeout(HeadraceError):
    """Raised by a client when a job has not ended in the time it was given; the job goes on."""

    code = "wait_timeout"
    status = 504
    title = "The job has not ended yet"


class ModelError(HeadraceError):
    """Raised for a model, its files or its code."""

    code = "model_error"
    status = 422
    title = "The model cannot be used"


class InputError(ModelError):
    """Raised by a model author's hook: this one input cannot be processed; its batch-mates are unaffected.

    The pointers of its `fields` begin at the input: `/text`.
    """

    code = "input_error"
    title = "The input cannot be processed"


class InvalidModel(ModelError):
    """Raised when a model's source cannot be served: a missing hook, hint or file."""

    code = "invalid_model"


class ModelFilesError(ModelError):
    """Raised when a file of a version is missing or differs from its manifest."""

    code = "model_files_error"


class VersionExists(ModelError):
    """Raised when another publisher took the version number first."""

    code = "version_exists"
    status = 409


class SettingsError(HeadraceError):
    """Raised when a setting has no usable value, or the place does not allow what was asked."""

    code = "settings_error"
    title = "A setting is wrong"


class InternalError(HeadraceError):
    """Raised when Headrace itself failed."""

    code = "internal_error"
    title = "Internal error"
