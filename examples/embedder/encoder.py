"""The encoder of all-MiniLM-L6-v2 in plain PyTorch: a BERT (arXiv:1810.04805) with 6 layers of 384.

The transformers library has it too, and takes some four seconds longer to get ready, in every process that serves it.
"""

import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

LAYERS, WIDTH, HEADS, VOCABULARY, POSITIONS = 6, 384, 12, 30_522, 512
#: Where PyTorch's layer has what the checkpoint calls otherwise.
RENAMED = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


class Encoder(nn.Module):
    """Token ids and mask, both (batch, length), to one vector per token: (batch, length, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embed, then let the tokens of each text look at one another; `mask` is True where there is a token."""
        place = torch.arange(ids.shape[1], device=ids.device)
        embedded = self.norm(self.words(ids) + self.positions(place) + self.segments.weight[0])
        vectors: Tensor = self.layers(embedded, src_key_padding_mask=~mask)
        return vectors


def load_encoder(file: Path, device: str) -> Encoder:
    """Read a checkpoint in the layout that BERT has on the Hugging Face hub."""
    saved = load_file(file, device=device)
    weights = {
        "words.weight": saved["embeddings.word_embeddings.weight"],
        "positions.weight": saved["embeddings.position_embeddings.weight"],
        "segments.weight": saved["embeddings.token_type_embeddings.weight"],
        "norm.weight": saved["embeddings.LayerNorm.weight"],
        "norm.bias": saved["embeddings.LayerNorm.bias"],
    }
    for i in range(LAYERS):
        ours, theirs = f"layers.layers.{i}", f"encoder.layer.{i}"
        for part in ("weight", "bias"):
            joined = [saved[f"{theirs}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            weights[f"{ours}.self_attn.in_proj_{part}"] = torch.cat(joined)
            for name, original in RENAMED.items():
                weights[f"{ours}.{name}.{part}"] = saved[f"{theirs}.{original}.{part}"]
    encoder = Encoder()
    encoder.load_state_dict(weights, assign=True)
    # In eval mode PyTorch spends no work on padding, and says that its way of doing so is a prototype.
    warnings.filterwarnings("ignore", message="The PyTorch API of nested tensors is in prototype stage")
    return encoder.eval()
