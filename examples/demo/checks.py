"""What must hold of the embeddings. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]

#: Sums of squares of float32 numbers that were normalised come this close to one.
_NORM_TOLERANCE = 1e-4
#: A batch is padded, so its sums are taken in another order than those of a sentence alone.
_DIRECT_TOLERANCE = 1e-4


class Check(NamedTuple):
    """One statement about all answers."""

    says: str
    holds: bool
    #: What was measured.
    found: str


def check_norms(vectors: Vectors) -> Check:
    """Every embedding, a row of `vectors`, has length one."""
    worst = float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())
    return Check("every embedding has length 1", worst <= _NORM_TOLERANCE, f"off by at most {worst:.1e}")


def check_neighbours(vectors: Vectors, pairs: Sequence[tuple[int, int]]) -> Check:
    """Among all rows, each of a pair is the other's nearest by dot product."""
    nearness = vectors @ vectors.T
    np.fill_diagonal(nearness, -np.inf)
    nearest = nearness.argmax(axis=1)
    found = sum(int(nearest[a] == b and nearest[b] == a) for a, b in pairs)
    return Check(
        f"each paraphrase is the other's nearest of {len(vectors)}",
        found == len(pairs),
        f"{found} of {len(pairs)} pairs",
    )


def check_direct(vectors: Vectors, direct: Vectors) -> Check:
    """The queue's answers are those of a direct call, number by number."""
    worst = float(np.abs(vectors - direct).max())
    return Check(
        "equal to a direct call without the queue",
        worst <= _DIRECT_TOLERANCE,
        f"off by at most {worst:.1e}",
    )
