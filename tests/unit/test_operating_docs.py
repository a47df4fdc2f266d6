"""The operator's page says what there is."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from headrace.settings import Settings
from headrace.worker_class import WorkerClass

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text()
#: Defaults that the page puts into words.
SPELLED = {"registry_url", "worker_classes", "tiers", "models"}

FIELDS = {**Settings.model_fields, **WorkerClass.model_fields}


def row_of(name: str) -> list[str]:
    [row] = re.findall(rf"^\| `{name}` \|(.*)\|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


@pytest.mark.parametrize(("name", "field"), FIELDS.items(), ids=list(FIELDS))
def test_each_setting_stands_in_the_page_with_its_default(name: str, field: FieldInfo) -> None:
    default, meaning = row_of(name)

    assert meaning
    assert name in SPELLED or default == f"`{field.default}`"


def test_the_example_files_are_ones_that_work() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)

    classes = [set(Settings(**tomllib.loads(example)).worker_classes) for example in examples]

    assert [{"on-demand", "spot-a"}, {"gpu0", "gpu1", "spot"}] == classes
