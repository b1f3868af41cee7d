"""The options that every measurement in rounds has."""

import argparse
from pathlib import Path


def parser_of(script_doc: str | None) -> argparse.ArgumentParser:
    """A parser with ``--quick``, ``--rounds`` and ``--json``, described by the first line of the script."""
    parser = argparse.ArgumentParser(description=(script_doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny run of a few seconds: shows that it works")
    parser.add_argument("--rounds", type=positive, help="rounds (default: as many as the figures need, quick 2)")
    parser.add_argument("--json", type=Path, help="write the figures here (default: below benchmarks/results)")
    return parser


def parsed(parser: argparse.ArgumentParser, *, rounds: int) -> argparse.Namespace:
    """The arguments of this call, ``rounds`` being the number when none is given and the run is no quick one."""
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else rounds)
    return arguments


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value
