"""A logistic score in about twenty lines of numpy: the smallest model worth copying."""

import json
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from headrace.model import Model


class Reading(BaseModel):
    """What the gauges of a mill say."""

    flow: float = Field(ge=0, description="water in the headrace, m³/s")
    head: float = Field(ge=0, description="height of fall, m")
    gate: float = Field(ge=0, le=1, description="opening of the gate")


class NumpyScorer(Model, max_batch=256):
    """How likely the wheel is to turn, from 0 to 1."""

    examples = (Reading(flow=1.2, head=3, gate=0.5), Reading(flow=0, head=0, gate=0))

    def load(self, files: Path, device: str) -> None:  # noqa: ARG002 - numpy knows one device
        """Read the coefficients that were fitted elsewhere."""
        fitted = json.loads((files / "coefficients.json").read_text())
        self.weights, self.bias = np.array(fitted["weights"]), fitted["bias"]

    def preprocess(self, item: Reading) -> np.ndarray:
        """One row of features; equal shapes reach `forward` stacked."""
        return np.array([item.flow, item.head, item.gate])

    def forward(self, batch: np.ndarray) -> np.ndarray:
        """Scores, shape (batch,), of features, shape (batch, 3)."""
        scores: np.ndarray = 1 / (1 + np.exp(-(batch @ self.weights + self.bias)))
        return scores

    def postprocess(self, row: np.float64) -> float:
        """One score as a plain number."""
        return float(row)
