import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_LINK = re.compile(r"\[`(test_\w+)`\]\((\S+)\)")


def test_every_promise_names_a_test_that_exists() -> None:
    links = _LINK.findall((DOCS / "guarantees.md").read_text())

    missing = [name for name, path in links if f"def {name}(" not in (DOCS / path).read_text()]

    assert len(links) > 20
    assert missing == []


def test_every_fault_test_is_behind_a_promise() -> None:
    promised = {name for name, _ in _LINK.findall((DOCS / "guarantees.md").read_text())}
    sources = (path.read_text() for path in (DOCS.parent / "tests" / "faults").glob("test_*.py"))

    kept = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}

    assert kept - promised == {"test_the_process_of_a_model_without_torch_imports_no_torch"}
