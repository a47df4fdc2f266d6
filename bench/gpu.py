"""`gpu`: the embedder in bf16 and a net of ResNet-50's size on CUDA, each against a bare loop over its class."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from bench.embed import Compared, EmbedderSide, compare, short_sentences
from bench.headrace_side import HeadraceSide
from bench.report import Report, installed_versions, summarize

_NONE = "gpu: there is no CUDA device here, so nothing was measured"


class GpuEmbedder(EmbedderSide):
    """The embedder on CUDA."""

    device: ClassVar[str] = "cuda"


class GpuConvNet(HeadraceSide):
    """A worker that serves `bench/models/convnet` on CUDA."""

    device: ClassVar[str] = "cuda"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--jobs", type=int, default=20_000, help="sentences; images are a tenth of that")
    parser.add_argument("--batch", type=int, default=64, help="batch size of both sides")
    parser.add_argument("--pairs", type=int, default=7, help="interleaved repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say; without a CUDA device there is nothing to measure, and the report says so."""
    import torch

    if not torch.cuda.is_available():
        print(_NONE, file=sys.stderr)
        return Report(bench=_NONE, figures={"cuda_devices": 0}, spread={})
    if options.smoke:
        options.jobs, options.pairs = 640, 1
    images = [str(n).encode() for n in range(options.jobs // 10)]
    sentences = _measure(options, Compared(GpuEmbedder, "embed", short_sentences(options.jobs)), "embedder")
    pictures = _measure(options, Compared(GpuConvNet, "convnet", images), "convnet")
    figures, spread = summarize([{**of_one, **of_other} for of_one, of_other in zip(sentences, pictures, strict=True)])
    figures |= {"cuda_devices": torch.cuda.device_count(), "jobs": options.jobs, "batch": options.batch}
    versions = installed_versions() | {"torch": torch.__version__, "cuda": str(torch.version.cuda)}
    return Report(bench=f"gpu: {torch.cuda.get_device_name()}", figures=figures, spread=spread, versions=versions)


def _measure(options: argparse.Namespace, compared: Compared, name: str) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        parameters = {"max_batch": options.batch, "autocast": "bfloat16"}
        runs = compare(compared, parameters, pairs=options.pairs, folder=Path(folder))
    return [{f"{name}_{figure}": value for figure, value in run.items()} for run in runs]
