"""Imports go down only, the core is pure, and nothing reads a pickle: read from the source text itself."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import anomaly_assets

PACKAGE = Path(anomaly_assets.__file__).parent

LAYERS = [
    {"domain"},
    {"exit_codes", "installed_families", "loading", "release", "run_tags"},
    {"settings"},
    {"engines", "testing"},
    {"adapters"},
    {"steps", "partitions"},
    {"evidence"},
    {"views"},
    {"reports"},
    {"dagster_names", "resources"},
    {"assets", "checks"},
    {"jobs", "schedules", "sensors", "models_serving", "settings_comparison"},
    {"families"},
    {"composition"},
    {"code_location"},
    {"definitions"},
    {
        "backfill",
        "dagster_databases",
        "dagster_erasure",
        "dagster_instance",
        "dagster_owners",
        "dagster_partitions",
        "dagster_provenance",
        "dagster_records",
        "dagster_restore",
        "dagster_runs",
        "dagster_server",
        "dagster_storage",
        "dagster_vacuum",
        "doctor",
        "interrupts",
        "reporting",
        "step_output",
    },
    {"commands"},
    {"dashboard"},
    {"cli"},
]
"""Parts of the package, lowest first: a part imports from its own layer and from those below it."""

LEVEL = {part: level for level, layer in enumerate(LAYERS) for part in layer}
ENTRANCES = {"cli", "code_location", "commands", "dashboard", "definitions"}
"""Parts that may read the settings of the deployment."""

BELOW_ADAPTERS = {"domain", "engines", "release", "settings", "adapters"}
WITH_DAGSTER = {"partitions", *(part for layer in LAYERS[9:] for part in layer)} - {
    "dashboard",
    "reporting",
    "commands",
}
DOMAIN_LIBRARIES = {"croniter", "numpy", "numba", "llvmlite", "pyarrow", "sklearn", "zstandard"}
"""croniter reads cron expressions, llvmlite is what numba's intrinsics are written in, zstandard compresses models."""
OUTSIDE_WORLD = {
    "glob",
    "http",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
}
"""Standard modules that reach files, clocks, the environment, chance or other machines."""
ONLY_TEXT = "urllib.parse."
"""The part of them that only takes addresses apart and puts them together."""

UNSAFE_FORMATS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def modules(part: str | None = None) -> list[Path]:
    """Source files of the package, or of one part of it."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if part in {None, part_of(path)}]


def part_of(path: Path) -> str:
    """The first name below the package: the folder, or the module that lies there itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a source file imports, wherever in it; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a source file imports."""
    names = (name.split(".") for name in imported(path))
    return {name[1] for name in names if name[0] == "anomaly_assets" and len(name) > 1}


def imported_roots(path: Path) -> set[str]:
    """First names of what a source file imports."""
    return {name.split(".")[0] for name in imported(path)}


def attributes(path: Path) -> Iterator[str]:
    """Every dotted access (``a.b.c``) in a source file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def short(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_part_has_its_layer() -> None:
    """A new part of the package is put into ``LAYERS`` before it imports anything."""
    assert {part_of(path) for path in modules()} - {"__init__"} <= set(LEVEL)


def test_imports_go_down_only() -> None:
    upwards = [
        f"{short(path)} imports {other}, which lies above it"
        for path in modules()
        for other in imported_parts(path)
        if LEVEL[other] > LEVEL.get(part_of(path), 0)
    ]
    assert upwards == []


def test_nothing_imports_the_command_line_or_the_dashboard() -> None:
    top = {"cli", "commands", "dashboard"}
    assert [short(path) for path in modules() if part_of(path) not in top and imported_parts(path) & top] == []


def test_the_domain_imports_no_other_part_and_only_the_libraries_of_numbers() -> None:
    for path in modules("domain"):
        assert imported_parts(path) <= {"domain"}, short(path)
        assert imported_roots(path) - {"anomaly_assets", *sys.stdlib_module_names} <= DOMAIN_LIBRARIES, short(path)
        outside = {name for name in imported(path) if name.split(".")[0] in OUTSIDE_WORLD}
        assert not {name for name in outside if not name.startswith(ONLY_TEXT)}, short(path)


def test_the_domain_asks_no_clock_no_environment_and_no_chance() -> None:
    asked = {"environ", "getenv", "urandom", "utcnow", "today", "time_ns", "perf_counter"}
    for path in modules("domain"):
        for name in attributes(path):
            owner, _, last = name.rpartition(".")
            assert last not in asked, f"{short(path)}: {name}"
            assert not (last == "now" and owner.rpartition(".")[2] == "datetime"), f"{short(path)}: {name}"
            assert owner not in {"np.random", "numpy.random"} or last[0].isupper(), f"{short(path)}: {name}"


def test_the_domain_opens_and_runs_nothing() -> None:
    for path in modules("domain"):
        calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        names = {call.id for call in calls if isinstance(call, ast.Name)}
        assert not names & {"open", "print", "input", "exec", "eval", "__import__"}, short(path)


def test_engines_import_the_domain_alone() -> None:
    for path in modules("engines"):
        assert imported_parts(path) <= {"domain", "engines"}, short(path)


def test_adapters_import_the_domain_and_settings_and_no_dagster() -> None:
    for path in modules("adapters"):
        assert imported_parts(path) <= BELOW_ADAPTERS, short(path)
        assert "dagster" not in imported_roots(path), short(path)


def test_steps_import_domain_adapters_and_settings_and_no_dagster() -> None:
    for path in modules("steps"):
        assert imported_parts(path) <= {"domain", "adapters", "settings", "steps"}, short(path)


def test_dagster_is_imported_only_where_it_belongs() -> None:
    users = {part_of(path) for path in modules() if any(root.startswith("dagster") for root in imported_roots(path))}
    assert users <= WITH_DAGSTER


def test_only_entrances_read_the_settings_of_the_deployment() -> None:
    readers = {part_of(path) for path in modules() if "anomaly_assets.settings.load_settings" in imported(path)}
    assert readers <= ENTRANCES


def test_nothing_reads_a_format_that_runs_what_it_reads() -> None:
    unsafe = {"np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
    for path in modules():
        assert not imported_roots(path) & UNSAFE_FORMATS, short(path)
        assert not unsafe & set(attributes(path)), short(path)
        words = {node.arg for node in ast.walk(tree(path)) if isinstance(node, ast.keyword)}
        assert "allow_pickle" not in words, short(path)


def test_nothing_imports_pandas() -> None:
    assert [short(path) for path in modules() if "pandas" in imported_roots(path)] == []


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import a.b as c", {"a.b"}),
        ("from a.b import c, d", {"a.b.c", "a.b.d"}),
        ("def f():\n    import pickle", {"pickle"}),
        ("if TYPE_CHECKING:\n    from x import y", {"x.y"}),
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path: Path, statement: str, names: set[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(statement)
    assert set(imported(path)) == names
