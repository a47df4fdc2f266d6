"""`lengths`: what batches by length save where jobs differ, on a real encoder or simulated on a measured curve.

`--model encoder`: sentences as long as the inputs of a trace go through the embedder of `examples/`, twice: in batches
of what stands next to each other, as the usual loop does, and in those of the production batcher, which sees a window
of the backlog. Both take turns on one thread, and what counts is the CPU time of the forward passes.
`--model curve`: one worker with a measured curve of batch times serves the arrivals and lengths of a trace, beside no
batching, the usual batching, and batches without filling, which no padded batch can beat.
"""

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from bench.curve_simulation import Arrival, InOrder, Ours, Outcome, packed, padded, simulate
from bench.encoder_sides import measure
from bench.report import Report, installed_versions, summarize
from bench.traces import Curve, Request, read_requests

#: Rows of the trace that the encoder serves.
_ROWS = 4000
#: A sentence has a token for so many of the trace's, within what the encoder reads; a simulated job one for so many.
_TOKENS_PER_WORD, _SHORTEST, _LONGEST = 8, 4, 256
_TOKENS_PER_SIMULATED = 20
#: How much faster than in the trace simulated jobs arrive: 83 and 133 a second.
_SPEED_UPS = (15.06, 24.1)
#: The curve is that of one layer, and the model has so many.
_LAYERS = 32
#: What a smoke run simulates on: flat, then in proportion.
_SMOKE_CURVE = Curve({1: 0.009, 88: 0.009, 4096: 0.258})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--model", choices=("encoder", "curve"), default="encoder")
    parser.add_argument("--trace", type=Path, help="gzipped CSV with the columns t_s and input_tokens")
    parser.add_argument("--curve", type=Path, help="gzipped CSV with the columns num_tokens and layer_linear_ops_ms")
    parser.add_argument("--jobs", type=int, default=_ROWS, help="rows of the trace that the encoder serves")
    parser.add_argument("--max-batch", type=int, default=32, help="largest batch of every rule")
    parser.add_argument("--seeds", type=int, default=5, help="shuffles that the curve is tried with")
    parser.add_argument("--seed", type=int, default=1, help="shuffle that the encoder is tried with")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.smoke:
        options.jobs, options.seeds = 64, 1
    elif options.trace is None or (options.model == "curve" and options.curve is None):
        sys.exit("bench lengths: --trace is needed, and --curve for the model curve")
    requests = read_requests(options.trace) if options.trace else generated_requests(600)
    return _on_encoder(options, requests) if options.model == "encoder" else _on_curve(options, requests)


def generated_requests(count: int) -> list[Request]:
    """A trace for trying out: random arrivals, 5.5 a second, and lengths as widely spread as people's."""
    rng = random.Random(0)
    arrivals_s = accumulate(rng.expovariate(5.5) for _ in range(count))
    return [Request(at_s, int(rng.lognormvariate(6.5, 1.0)) + 1) for at_s in arrivals_s]


def _on_encoder(options: argparse.Namespace, requests: Sequence[Request]) -> Report:
    longest = 32 if options.smoke else _LONGEST
    rows = requests[: options.jobs]
    lengths = [max(_SHORTEST, min(longest, row.tokens // _TOKENS_PER_WORD)) for row in rows]
    random.Random(options.seed).shuffle(lengths)
    figures = measure(lengths, max_batch=options.max_batch, seed=options.seed)
    sizes = {"jobs": len(lengths), "max_batch": options.max_batch, "seed": options.seed}
    versions = installed_versions(("torch", "tokenizers"))
    return Report(bench="lengths --model encoder", figures=figures | sizes, spread={}, versions=versions)


def _on_curve(options: argparse.Namespace, requests: Sequence[Request]) -> Report:
    curve = Curve.read(options.curve, layers=_LAYERS) if options.curve else _SMOKE_CURVE
    runs: list[dict[str, float]] = []
    for seed in range(options.seeds):
        runs.append({})
        for speed_up in _SPEED_UPS:
            arrivals = _shuffled(requests, speed_up, seed)
            rate = len(arrivals) / arrivals[-1].at_s
            found = compare(arrivals, curve, options.max_batch)
            runs[-1] |= {f"{name}_at_{rate:.0f}": value for name, value in found.items()}
        print(f"seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    figures |= {"jobs": len(requests), "max_batch": options.max_batch, "seeds": options.seeds}
    return Report(bench="lengths --model curve", figures=figures, spread=spread)


def _shuffled(requests: Sequence[Request], speed_up: float, seed: int) -> list[Arrival]:
    costs = [max(1, request.tokens // _TOKENS_PER_SIMULATED) for request in requests]
    random.Random(seed).shuffle(costs)
    return [Arrival(request.at_s / speed_up, cost) for request, cost in zip(requests, costs, strict=True)]


def compare(arrivals: Sequence[Arrival], curve: Curve, max_batch: int) -> Mapping[str, float]:
    """Figures of the production batcher and the other rules over the same arrivals."""
    ours = simulate(arrivals, Ours(max_batch), curve)
    bound = simulate(arrivals, InOrder(max_batch, packed), curve)
    single = simulate(arrivals, InOrder(1, padded), curve)
    usual = simulate(arrivals, InOrder(max_batch, padded), curve)
    return {
        "busy_over_packed": ours.busy_s / bound.busy_s,
        "busy_over_single": ours.busy_s / single.busy_s,
        "busy_over_fifo": ours.busy_s / usual.busy_s,
        "busy": ours.busy_s / arrivals[-1].at_s,
        "padding_share": ours.padding_share,
        "p99_s": _p99(ours),
        "fifo_p99_s": _p99(usual),
    }


def _p99(outcome: Outcome) -> float:
    return sorted(outcome.waits_s)[int(0.99 * len(outcome.waits_s))]
