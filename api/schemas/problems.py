"""Problem documents (RFC 9457) and the list of their kinds."""

from pydantic import Field

from api.schemas.shape import Shape


class ProblemField(Shape):
    """One wrong field."""

    pointer: str = Field(
        description="JSON pointer into the body; `/header/…` and `/query/…` for the rest of the request."
    )
    code: str
    detail: str


class Problem(Shape):
    """Why a request failed (RFC 9457)."""

    type: str = Field(description="Identifies the kind; a GET explains it.")
    title: str
    status: int
    code: str = Field(description="The kind in one word, for programs.")
    detail: str
    instance: str
    request_id: str
    retryable: bool = Field(description="Whether the same request may succeed later.")
    retry_after_ms: int | None = None
    errors: list[ProblemField] = Field(default_factory=list)


class ProblemKind(Shape):
    """What a kind of problem means."""

    type: str
    title: str
    status: int
    code: str
    retryable: bool
    meaning: str
