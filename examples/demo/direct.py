"""`python -m examples.demo.direct FOLDER`: embed texts without any queue, one at a time.

A process of its own, so that the demo stays small and its figures undisturbed. Reads a JSON list of texts from
standard input, writes a JSON list of embeddings to standard output; FOLDER holds the files of a model version.
"""

import sys
from pathlib import Path

import orjson
import torch

from examples.embedder.model import Embedder, Sentence


def main() -> None:
    """Embed standard input."""
    model = Embedder()
    model.load(Path(sys.argv[1]), "cpu")
    texts = orjson.loads(sys.stdin.buffer.read())
    with torch.inference_mode():
        rows = [model.forward([model.preprocess(Sentence(text=text))])[0] for text in texts]
    sys.stdout.buffer.write(orjson.dumps([model.postprocess(row) for row in rows]))


if __name__ == "__main__":
    main()
