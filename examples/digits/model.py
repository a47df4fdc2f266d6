"""Handwritten digits: a picture in, what it shows out. The weights come from `train.py`."""

import base64
import io
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field

from headrace.errors import InputError
from headrace.model import Model

from .network import LABELS, SIDE, load_network

#: A picture is made smaller before it is looked at; more pixels along a side are somebody's mistake.
MAX_SIDE = 1024


class Picture(BaseModel):
    """What to recognise."""

    png: str = Field(
        max_length=1_000_000, description="base64 of a PNG of one digit, light on dark, at most 1024 pixels a side"
    )


class Guess(BaseModel):
    """What it shows."""

    label: int = Field(ge=0, lt=LABELS)
    probabilities: Annotated[list[float], Field(min_length=LABELS, max_length=LABELS)]


_FOUR = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAARElEQVR42iXGQRGAIBAAwB0TEOEiGIEINpAIRrCBEYhgFIcGNiDC+XBfC+XG"
    "gjb+lP2NgGO6TmzZZUOd+WQB6+xAZOUDBf8QaNT4nxcAAAAASUVORK5CYII="
)
_TWO = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAASElEQVR42iXKoRVAQAAA0P8o4sWLt4YNRCMYRzOLCUQaNlAlIolw7YePdgoo"
    "mat3AWuYUEjbnYDkC1ndlfPQP7E+Ss44NnH/AfzXD/qYLgdrAAAAAElFTkSuQmCC"
)


class Digits(Model, max_batch=128, finite=True):
    """Says which handwritten digit a picture shows, and how sure it is."""

    examples = (Picture(png=_FOUR), Picture(png=_TWO))

    def load(self, files: Path, device: str) -> None:
        """Read the weights from the version's own files."""
        self.network = load_network(files / "weights" / "model.safetensors", device)

    def preprocess(self, item: Picture) -> torch.Tensor:
        """Grey pixels, shape (1, 8, 8), from 0 to 1; refuses what is no small PNG."""
        try:
            picture = Image.open(io.BytesIO(base64.b64decode(item.png, validate=True)), formats=("PNG",))
            if max(picture.size) > MAX_SIDE:
                raise InputError(f"the picture is {picture.width} by {picture.height} pixels; {MAX_SIDE} a side may be")
            grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
        except (ValueError, OSError, SyntaxError, UnidentifiedImageError) as error:
            raise InputError(f"png is not the base64 of a PNG: {error}") from None
        return torch.from_numpy(np.asarray(grey, dtype=np.float32) / 255).unsqueeze(0)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Probabilities, shape (batch, 10), of pictures, shape (batch, 1, 8, 8)."""
        return torch.softmax(self.network(batch), dim=1)

    def postprocess(self, row: torch.Tensor) -> Guess:
        """The likeliest label, with the probabilities of all."""
        return Guess(label=int(row.argmax()), probabilities=row.tolist())
