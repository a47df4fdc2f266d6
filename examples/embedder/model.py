"""Sentence embeddings with all-MiniLM-L6-v2: a vector of 384 numbers whose dot products say how alike sentences are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, Field
from tokenizers import Tokenizer
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from headrace.model import Model

from .encoder import load_encoder

#: What the model was trained to read; more of a text is cut off.
MAX_TOKENS = 256


class Sentence(BaseModel):
    """What to embed."""

    text: str = Field(min_length=1, max_length=4000, description="an English sentence or short paragraph")


Embedding = Annotated[list[float], Field(min_length=384, max_length=384)]


class Embedder(Model, max_batch=64):
    """Turns an English sentence into 384 numbers; the dot product of two says how close their meanings are."""

    examples = (
        Sentence(text="A headrace is the channel that brings the water to the wheel."),
        Sentence(text="Hello."),
        Sentence(text="The mill stands still when the river is low, and nobody in the village gets any flour."),
    )

    def load(self, files: Path, device: str) -> None:
        """Read tokenizer and weights from the version's own files; nothing is downloaded."""
        self.device = device
        self.tokenizer = Tokenizer.from_file(str(files / "weights" / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.encoder = load_encoder(files / "weights" / "model.safetensors", device)

    def preprocess(self, item: Sentence) -> list[int]:
        """Token ids of one sentence."""
        ids: list[int] = self.tokenizer.encode(item.text).ids
        return ids

    def preprocess_all(self, items: Sequence[Sentence]) -> list[list[int]]:
        """Token ids of several: the tokenizer lets a forward pass have the interpreter meanwhile."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch([item.text for item in items])]

    def cost(self, item: list[int]) -> int:
        """Tokens."""
        return len(item)

    def forward(self, batch: list[list[int]]) -> torch.Tensor:
        """Pad to the longest, run, average each sentence's token vectors, normalise: (batch, 384), float32."""
        lengths = torch.tensor([[len(ids)] for ids in batch], device=self.device)
        ids = pad_sequence([torch.tensor(ids) for ids in batch], batch_first=True).to(self.device)
        mask = torch.arange(ids.shape[1], device=self.device) < lengths
        vectors = self.encoder(ids, mask) * mask.unsqueeze(-1)
        return normalize(vectors.sum(dim=1) / lengths, dim=1)

    def postprocess(self, row: torch.Tensor) -> Embedding:
        """One embedding as plain numbers."""
        numbers: list[float] = row.tolist()
        return numbers
