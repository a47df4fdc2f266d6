"""Finding: what one check says."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: It works, but something should be done.
    WARN = "warn"
    #: Jobs cannot run, or may be lost.
    FAIL = "fail"


class Finding(NamedTuple):
    """One line of the report."""

    verdict: Verdict
    check: str
    detail: str
    #: What to do; empty if nothing.
    advice: str = ""


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, check, detail)


def warn(check: str, detail: str, advice: str) -> Finding:
    """Something should be done."""
    return Finding(Verdict.WARN, check, detail, advice)


def fail(check: str, detail: str, advice: str) -> Finding:
    """Something must be done."""
    return Finding(Verdict.FAIL, check, detail, advice)
