"""`python -m bench NAME [--smoke] [--json]`: run a benchmark; without a name, list them.

The last line printed is one JSON object; progress goes to standard error.
"""

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from bench import (
    backlog,
    balance,
    cold_start,
    drain,
    durability,
    embed,
    eta,
    fairness,
    gpu,
    http_front,
    latency,
    lengths,
    mixed,
    overload,
    poison,
    residency,
    scaling,
    tiers,
    webhooks,
)
from bench.service import ServiceFailed
from bench.venv import VenvFailed

#: Every benchmark: a module with `add_options` and `run`, whose docstring says what it measures.
BENCHES: dict[str, ModuleType] = {
    "backlog": backlog,
    "balance": balance,
    "cold_start": cold_start,
    "drain": drain,
    "durability": durability,
    "embed": embed,
    "eta": eta,
    "fairness": fairness,
    "gpu": gpu,
    "http": http_front,
    "latency": latency,
    "lengths": lengths,
    "mixed": mixed,
    "overload": overload,
    "poison": poison,
    "residency": residency,
    "scaling": scaling,
    "tiers": tiers,
    "webhooks": webhooks,
}


def build_parser() -> argparse.ArgumentParser:
    """The command line, with a subcommand for each benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="name", metavar="NAME")
    for name, module in BENCHES.items():
        command = commands.add_parser(name, help=describe(module))
        command.add_argument("--smoke", action="store_true", help="small and short: does it work?")
        command.add_argument("--json", action="store_true", help="print nothing but the JSON object")
        module.add_options(command)
    return parser


def describe(module: ModuleType) -> str:
    """The first line of a benchmark's docstring, without its name."""
    first_line = (module.__doc__ or "").splitlines()[0]
    return first_line.partition(": ")[2]


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; answers the exit code."""
    options = build_parser().parse_args(arguments)
    if options.name is None:
        for name, module in BENCHES.items():
            print(f"{name:<10} {describe(module)}")
        return 0
    try:
        report = BENCHES[options.name].run(options)
    except (ServiceFailed, VenvFailed) as error:
        print(f"bench {options.name}: {error}", file=sys.stderr)
        return 1
    if not options.json:
        print(report.to_text())
    print(report.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
