"""Small real artifacts of other libraries, made by tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

#: Imports a library of an extra by its name.
Library = Callable[[str], Any]


class Net(nn.Module):
    """Four numbers in, three out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Shape (batch, 4) to (batch, 3)."""
        scores: torch.Tensor = self.second(torch.relu(self.first(batch)))
        return scores


def onnx_graph(library: Library, net: Net, file: Path, *, external: str = "") -> None:
    """The net as a graph, put together node by node; `external` is where its first weights lie, if elsewhere."""
    onnx = library("onnx")
    helper, proto = onnx.helper, onnx.TensorProto
    weights = {name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()}
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    if external:
        tensors[0].raw_data = b""
        tensors[0].data_location = proto.EXTERNAL
        tensors[0].external_data.add(key="location", value=external)
    nodes = [
        helper.make_node("Gemm", ["x", "first_weight", "first_bias"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "second_weight", "second_bias"], ["y"], transB=1),
    ]
    x, y = (helper.make_tensor_value_info(n, proto.FLOAT, ["batch", size]) for n, size in (("x", 4), ("y", 3)))
    graph = helper.make_graph(nodes, "net", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    file.write_bytes(model.SerializeToString())


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "mill", "turns", "stands", "still"]


def save_text_model(library: Library, folder: Path) -> Any:
    """A small BERT with words of its own, saved as the library saves them; answers its network."""
    transformers, tokenizers = library("transformers"), library("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    fast.save_pretrained(folder)
    torch.manual_seed(2)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        id2label={0: "idle", 1: "busy"},
        label2id={"idle": 0, "busy": 1},
    )
    net = transformers.BertForSequenceClassification(config).eval()
    net.save_pretrained(folder)
    return net
