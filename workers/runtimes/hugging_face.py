"""Hugging Face: models of texts in the transformers library's own format, from the version's files alone.

Nothing is downloaded, no code that comes with a model is run (`trust_remote_code` is off), weights are safetensors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import transformers
from pydantic import BaseModel, Field

from headrace.model import Model


class Text(BaseModel):
    """What to read."""

    text: str = Field(min_length=1, max_length=20_000)


class Label(BaseModel):
    """What it is."""

    label: str
    score: float = Field(ge=0, le=1, description="probability")


class _TextModel(Model):
    """Reads tokens, pads a batch to its longest text, and runs it."""

    runtime = "transformers"
    requires = ("transformers>=5", "torch>=2.6")
    #: Folder with config.json, model.safetensors and the tokenizer's files, in the version's.
    files: ClassVar[str] = "files"
    #: More tokens of a text than these are cut off.
    max_tokens: ClassVar[int] = 512
    _kind: ClassVar[Any]

    def load(self, files: Path, device: str) -> None:
        """Read tokenizer and weights."""
        folder, self.device = files / self.files, device
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        net = self._kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_safetensors=True)
        self.net: Any = net.eval().to(device)

    def to_host(self) -> None:
        """Move the network."""
        self.net.to("cpu")

    def to_device(self, device: str) -> None:
        """Move the network back."""
        self.net.to(device)

    def preprocess(self, item: Text) -> list[int]:
        """Token ids of one text."""
        ids: list[int] = self.tokenizer(item.text, truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids

    def preprocess_all(self, items: Sequence[Text]) -> list[list[int]]:
        """Those of several, in one call, which leaves Python to a pass beside it."""
        texts = [item.text for item in items]
        ids: list[list[int]] = self.tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids

    def cost(self, item: list[int]) -> int:
        """Tokens."""
        return len(item)

    def padded(self, batch: list[list[int]]) -> dict[str, torch.Tensor]:
        """Ids and mask of a batch, shape (batch, longest)."""
        return dict(self.tokenizer.pad({"input_ids": batch}, return_tensors="pt").to(self.device))


class TextClassifier(_TextModel):
    """The likeliest label of a text, by the names that the model's configuration gives its labels."""

    _kind = transformers.AutoModelForSequenceClassification

    def forward(self, batch: list[list[int]]) -> torch.Tensor:
        """Probabilities, shape (batch, labels)."""
        return torch.softmax(self.net(**self.padded(batch)).logits.float(), dim=-1)

    def postprocess(self, row: torch.Tensor) -> Label:
        """The likeliest one."""
        best = int(row.argmax())
        return Label(label=self.net.config.id2label[best], score=float(row[best]))


class TextEmbedder(_TextModel):
    """A text as a vector of length 1: the mean of its tokens' vectors."""

    _kind = transformers.AutoModel

    def forward(self, batch: list[list[int]]) -> torch.Tensor:
        """Vectors, shape (batch, width)."""
        padded = self.padded(batch)
        mask = padded["attention_mask"].unsqueeze(-1)
        vectors = self.net(**padded).last_hidden_state.float() * mask
        return torch.nn.functional.normalize(vectors.sum(dim=1) / mask.sum(dim=1), dim=-1)

    def postprocess(self, row: torch.Tensor) -> list[float]:
        """One vector as plain numbers."""
        numbers: list[float] = row.tolist()
        return numbers
