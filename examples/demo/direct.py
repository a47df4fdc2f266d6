"""`python -m examples.demo.direct FOLDER`: embed texts without any queue, a few at a time.

A process of its own, so that the demo stays small and its figures undisturbed. Reads a JSON list of texts from
standard input, writes a JSON list of embeddings to standard output; FOLDER holds the files of a model version.
"""

import sys
from pathlib import Path

import orjson
import torch

from examples.embedder.model import Embedder, Sentence

_BATCH = 8


def main() -> None:
    """Embed standard input."""
    model = Embedder()
    model.load(Path(sys.argv[1]), "cpu")
    items = [model.preprocess(Sentence(text=text)) for text in orjson.loads(sys.stdin.buffer.read())]
    # On few, busy cores threads that wait for each other cost more than they bring.
    torch.set_num_threads(1)
    with torch.inference_mode():
        batches = [model.forward(items[i : i + _BATCH]) for i in range(0, len(items), _BATCH)]
    rows = [row for batch in batches for row in batch]
    sys.stdout.buffer.write(orjson.dumps([model.postprocess(row) for row in rows]))


if __name__ == "__main__":
    main()
