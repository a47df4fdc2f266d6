"""The reference page names everything that the contract names, and nothing else."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import HeadraceError
from headrace.jobs import FIELDS, TRANSITIONS, JobStatus
from headrace.keys import Keys
from headrace.redis_op import script_names

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(DOCS.parent.glob("*.md"))]
PAGE = (DOCS / "reference.md").read_text()

#: Made of a digest, so its last part cannot be given.
DIGESTED = {"idempotency": "k:<tenant>:<digest>", "dedupe": "u:<tenant>:<digest>"}


def rows(heading: str) -> dict[str, list[str]]:
    """First cell, without its backquotes, to the other cells of the table under a heading."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\| `(.*?)` \|(.*)\|$", section, re.MULTILINE)
    return {first: [cell.strip() for cell in re.split(r"(?<!\\)\|", rest)] for first, rest in lines}


def spellings() -> Iterator[str]:
    """Every key of `Keys` after the cell's prefix, its variable parts in angle brackets."""
    keys = Keys(cell="<cell>")
    for name, member in inspect.getmembers(Keys):
        if name.startswith("_") or name in ("cell", "prefix"):
            continue
        if isinstance(member, property):
            yield getattr(keys, name).removeprefix(keys.prefix)
        elif name in DIGESTED:
            yield DIGESTED[name]
        else:
            parameters = list(inspect.signature(member).parameters)[1:]
            yield member(keys, *(f"<{parameter}>" for parameter in parameters)).removeprefix(keys.prefix)


def tree(kind: type[HeadraceError]) -> Iterator[type[HeadraceError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_key_is_documented() -> None:
    assert set(spellings()) == set(rows("Keys"))


def test_every_field_of_the_record_is_documented_with_its_meaning() -> None:
    assert {field: [meaning] for field, meaning in FIELDS.items()} == rows("The record")


def test_every_state_is_documented_with_what_it_can_become() -> None:
    expected = {state: set(news) for state, news in TRANSITIONS.items()}

    documented = {
        JobStatus(state): {JobStatus(new) for new in re.findall(r"`(\w+)`", cells[0])}
        for state, cells in rows("States").items()
    }

    assert expected == documented


def test_every_script_is_documented() -> None:
    assert set(script_names()) == set(rows("Scripts"))


def test_every_error_is_documented_with_its_status() -> None:
    errors = {kind.code: str(kind.status) for kind in tree(HeadraceError) if kind.__module__ == "headrace.errors"}

    assert errors == {code: cells[0] for code, cells in rows("Errors").items()}


def test_every_error_stands_in_the_tree_that_its_module_draws() -> None:
    drawn = re.findall(r"^ +[│ ]*[├└]?─* ?(\w+)", inspect.getmodule(HeadraceError).__doc__ or "", re.MULTILINE)

    assert {kind.__name__ for kind in tree(HeadraceError) if kind.__module__ == "headrace.errors"} <= set(drawn)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_links_between_pages_lead_to_a_page_and_to_a_heading_of_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text())

    assert [link for link in links if not leads_somewhere(page, *link)] == []


def leads_somewhere(page: Path, path: str, heading: str) -> bool:
    target = page.parent / path if path else page
    return target.exists() and (not heading or heading in headings(target))


def headings(page: Path) -> set[str]:
    """What links call them: lower case, without punctuation, with dashes for spaces."""
    texts = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in texts}


def test_the_page_that_says_which_page_is_for_what_names_every_page() -> None:
    named = set(re.findall(r"\]\(([\w-]+\.md)", (DOCS / "README.md").read_text()))

    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} == named


@pytest.mark.parametrize("folder", ["api", "workers", "scheduler"])
def test_the_first_file_of_a_service_says_what_each_of_the_others_is_for_and_names_none_that_is_gone(
    folder: str,
) -> None:
    first, *others = sorted((DOCS.parent / folder).glob("*.py"))
    there = {path.stem for path in (DOCS.parent / folder).iterdir()}
    said = set(re.findall(r"`(\w+)/?`", first.read_text()))

    unsaid, gone = [other.stem for other in others if other.stem not in said], sorted(said - there)

    assert ([], []) == (unsaid, gone), f"{folder}/__init__.py says what each file of its folder is for"
