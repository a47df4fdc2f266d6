"""Hugging Face: a folder that `save_pretrained` wrote, or a snapshot in the hub's cache.

What it is stands in `config.json` under `architectures` (transformers, `PretrainedConfig`): a classifier of sequences
becomes a `TextClassifier`, a plain encoder a `TextEmbedder`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from headrace.errors import InvalidModel
from registry.importing.artifact import Artifact

#: What tokenizers keep, by file name (transformers, `tokenization_utils_base.py`).
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model"),
)

_SOURCE = '''"""{kind} {architecture}, imported from files that the transformers library wrote."""

from workers.runtimes.hugging_face import Text, {base}


class Imported({base}, max_batch=32):
    """{summary}"""

    # Better ones say more: they warm the model up, and `models check` and `models tune` go by them.
    examples = (Text(text="fine"), Text(text="A longer text says more about how the model deals with its batches."))
    max_tokens = {max_tokens}
'''


def from_hugging_face(folder: Path) -> Artifact:
    """Read a folder.

    Raises:
        InvalidModel: if it is none of that kind, or its weights are pickles.
    """
    config = _config(folder)
    architecture = str(next(iter(config.get("architectures") or [""]), ""))
    base, kind = _base(folder, architecture)
    source = _SOURCE.format(
        base=base,
        kind=kind,
        architecture=architecture or "of an unknown architecture",
        summary="Says which label a text has." if base == "TextClassifier" else "Turns a text into a vector.",
        max_tokens=min(int(config.get("max_position_embeddings") or 512), 512),
    )
    files = {f"files/{path.name}": path.resolve() for path in _files(folder)}
    return Artifact(source, files, {"architecture": architecture})


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = orjson.loads((folder / "config.json").read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InvalidModel(
            f"{folder} has no config.json that can be read ({error}); name a folder that save_pretrained wrote"
        ) from error
    if not isinstance(config, dict):
        raise InvalidModel(f"{folder}/config.json is no table")
    return config


def _base(folder: Path, architecture: str) -> tuple[str, str]:
    if architecture.endswith("ForSequenceClassification"):
        return "TextClassifier", "The classifier"
    if architecture.endswith("Model"):
        return "TextEmbedder", "The encoder"
    raise InvalidModel(
        f"{folder} holds '{architecture}', and only classifiers of texts (…ForSequenceClassification) and encoders"
        " (…Model) are imported; write a model.py for it: headrace models scaffold NAME"
    )


def _files(folder: Path) -> Iterator[Path]:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise InvalidModel(
            f"{folder} has no weights in safetensors; others are pickles. Load it once with the library and call"
            " save_pretrained, which writes them"
        )
    others = [folder / name for name in ("config.json", "model.safetensors.index.json", *_TOKENIZER)]
    yield from weights
    yield from (path for path in others if path.is_file())
