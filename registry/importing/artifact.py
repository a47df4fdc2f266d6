"""Artifact: what an importer found."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Artifact(NamedTuple):
    """A model as another tool saved it.

    `source` is the text of a `model.py`, `files` the files that belong to it by the paths that it knows them under.
    """

    source: str
    files: Mapping[str, Path]
    provenance: Mapping[str, str]
