"""What the demo embeds: sentences of old books, and pairs that say the same in other words."""

from pathlib import Path
from typing import NamedTuple

_DATA = Path(__file__).parent / "data"


class Sentences(NamedTuple):
    """All texts, and which of them belong together."""

    texts: list[str]
    #: Index pairs into `texts`.
    pairs: list[tuple[int, int]]


def read_sentences(folder: Path = _DATA, *, limit: int | None = None) -> Sentences:
    """Read one sentence a line, at most `limit`, then one tab-separated pair of paraphrases a line."""
    texts = _lines(folder / "sentences.txt")[:limit]
    pairs = []
    for line in _lines(folder / "paraphrases.tsv"):
        pairs.append((len(texts), len(texts) + 1))
        texts += line.split("\t")
    return Sentences(texts, pairs)


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
