"""The same seed gives the same result: alone, in any batch, in a pass that is repeated, and after its process died."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from examples.river_levels.model import Gauge
from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from tests.integration.engine_rig import EngineRig

RIVER = Path(__file__).parents[2] / "examples" / "river_levels"

#: Draws a number for each of its inputs, unless one of them breaks the pass or the process.
SOURCE = '''
import os, random
from headrace.model import Model

class Dice(Model, max_batch=8):
    """Throws."""

    def preprocess(self, item: str) -> list:
        return [item, None]

    def seed(self, item, seed):
        return [item[0], seed]

    def forward(self, batch: list) -> list:
        for word, _ in batch:
            if word == "exit":
                os._exit(3)
            if word == "raise":
                raise ValueError("told to raise")
        return [random.Random(seed).random() for _, seed in batch]

    def postprocess(self, row: float) -> float:
        return row
'''


@pytest.fixture
def rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[EngineRig]:
    rig = EngineRig(url=redis_url, keys=keys, folder=tmp_path)
    yield rig
    rig.close()


def test_a_seed_gives_the_same_alone_in_any_batch_and_beside_those_that_break_it(rig: EngineRig) -> None:
    ref = rig.push(source=SOURCE)
    alone = rig.submit("x", ref=ref, seed=7, is_batchable=False)
    with_others = rig.submit("y", "z", ref=ref, seed=7) + rig.submit("w", "w", "w", ref=ref, seed=8)
    without = rig.submit("w", "w", ref=ref)
    rig.start()
    rig.finish(*alone, *with_others, *without)
    broken = [*rig.submit("raise", ref=ref), *rig.submit("x", ref=ref, seed=7)]
    broken += [*rig.submit("exit", ref=ref), *rig.submit("x", ref=ref, seed=7)]
    failed = rig.finish(*broken)[::2]

    drawn = [rig.output(member) for member in (*alone, *with_others, *broken[1::2], *without)]
    sevens, eights, free = {*drawn[:3], *drawn[6:8]}, {*drawn[3:6]}, drawn[8:]
    assert (1, 1, 4) == (len(sevens), len(eights), len({*sevens, *eights, *free}))
    assert [1, 7] == [rig.job(member).batch_size for member in (alone[0], with_others[0])]
    assert [JobStatus.FAILED] * 2 == failed


def course(rig: EngineRig, ref: ModelRef, *seeds: int | None) -> list[bytes]:
    """What the river may do, once for each of the seeds, submitted together."""
    value = Gauge(level=1.5, days=10).model_dump_json()
    members = [member for seed in seeds for member in rig.submit_raw(value.encode(), ref=ref, seed=seed)]
    assert {JobStatus.SUCCEEDED} == set(rig.finish(*members))
    return [rig.output(member) for member in members]


def test_the_example_draws_the_same_course_for_the_same_seed_whoever_is_in_its_batch(rig: EngineRig) -> None:
    ref = rig.registry.push(RIVER, name="river").manifest.ref
    rig.start()

    [alone] = course(rig, ref, 7)
    together = course(rig, ref, 8, 7, None, 7, None)

    assert [alone, alone] == [together[1], together[3]]
    assert 4 == len({*together})
    assert 10 == len(orjson.loads(alone))
