"""What a probe costs: processor seconds of ``doctor --quick`` beside ``--help``, which loads the command alone.

    python -m benchmarks.doctor_probe [--home FOLDER] [--quick] [--rounds N] [--json FILE]

Both run in processes of their own and take turns, so that a difference is one of two runs that were moments apart.
``--home`` names a home that is there, with the settings that ``ANOMALY_CONFIG`` names; it is left as it is. Without it
two days of the synthetic source are scored in one that goes away at the end, their store running.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from benchmarks.command_line import parsed, parser_of
from benchmarks.measuring import Spread, machine, machine_line, write_result

COMMAND = Path(sys.executable).with_name("anomaly-assets")
MADE = ("backfill", "--from", "2024-01-07", "--to", "2024-01-08")
SMALL = {"ANOMALY_WINDOW__DAYS": "5"}


def processor_seconds(words: Sequence[str], environment: dict[str, str]) -> float:
    """User and system seconds of one call. Raises ``CalledProcessError`` when it fails, but for what it found."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([COMMAND, *words], env=environment, stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1:
        raise subprocess.CalledProcessError(done.returncode, done.args)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, print and write down."""
    parser = parser_of(__doc__)
    parser.add_argument("--home", type=Path, help="a home that is there (default: a small one, made for this)")
    arguments, console = parsed(parser, rounds=15), Console()
    with tempfile.TemporaryDirectory(prefix="aa-probe-") as folder:
        home = arguments.home or Path(folder) / "home"
        environment = {**os.environ, **({} if arguments.home else SMALL), "ANOMALY_HOME": str(home.absolute())}
        if not arguments.home:
            subprocess.run([COMMAND, *MADE], env=environment, check=True, capture_output=True)
        try:
            helps, probes = [], []
            for _ in range(arguments.rounds + 1):
                helps.append(processor_seconds(("--help",), environment))
                probes.append(processor_seconds(("doctor", "--quick"), environment))
        finally:
            if not arguments.home:
                EmbeddedStore(home / "store", 64).stop()
    # the first of each fills the caches of files
    seconds = {"--help": Spread.of(helps[1:]), "doctor --quick": Spread.of(probes[1:])}
    seconds["beyond --help"] = Spread.of([probe - help_ for probe, help_ in zip(probes[1:], helps[1:], strict=True)])
    described = machine()
    for name, spread in seconds.items():
        console.print(f"{name:<16}{spread.shown('.3f')} s of processor")
    console.print(machine_line(described), style="dim")
    result = {
        "machine": described,
        "home": str(arguments.home) if arguments.home else "two scored days",
        "processor_seconds": {name: vars(spread) for name, spread in seconds.items()},
    }
    write_result("doctor_probe", result, path=arguments.json, quick=arguments.quick)


if __name__ == "__main__":
    main()
