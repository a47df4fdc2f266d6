"""Nothing that comes from outside can become code: no unpickling, no evaluation, no shell, in any service."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.settings import Settings
from workers.app import make_app

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for package in ("api", "deploy", "headrace", "registry", "scheduler", "workers")
    for path in (ROOT / package).rglob("*.py")
]

MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *("torch.load", "torch.hub.load", "torch.jit.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pandas.read_pickle"),
}
FLAGS = {"shell", "allow_pickle", "trust_remote_code"}


def offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES:
                yield module
            case ast.Call(func=func, keywords=keywords):
                name = ast.unparse(func)
                if name in CALLS or (isinstance(func, ast.Name) and name in BUILTINS):
                    yield name
                yield from (f"{word.arg}=" for word in keywords if word.arg in FLAGS and not _is_false(word.value))


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.parametrize(
    "offence",
    [
        *("import pickle", "from joblib import load", "eval(text)", "torch.load(path)", "yaml.load(text)"),
        *("subprocess.run(line, shell=True)", "numpy.load(path, allow_pickle=flag)", "os.system(line)"),
    ],
)
def test_an_offence_is_found(offence: str) -> None:
    assert list(offences(offence)) != []


def test_what_only_looks_like_one_is_none() -> None:
    assert list(offences("model.eval()\nclient.eval(script)\nnumpy.load(path, allow_pickle=False)")) == []


def test_no_service_turns_data_into_code() -> None:
    assert len(SOURCES) > 100

    found = {str(path.relative_to(ROOT)): list(offences(path.read_text())) for path in SOURCES}

    assert {path: names for path, names in found.items() if names} == {}


def test_workers_take_messages_in_json_only() -> None:
    with make_app(Settings()) as app:
        assert ["json"] == list(app.conf.accept_content)
        assert "json" == app.conf.task_serializer
