"""The demo's own parts: what it reads, checks and measures."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from examples.demo.checks import Vectors, check_direct, check_neighbours, check_norms
from examples.demo.figures import Figures, percentile
from examples.demo.report import Report
from examples.demo.sentences import read_sentences


@pytest.fixture
def vectors() -> Vectors:
    """Two pairs of near vectors of length one."""
    angles = np.array([0.0, 0.1, 2.0, 2.1])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_there_are_hundreds_of_sentences_and_ten_pairs_of_paraphrases() -> None:
    sentences = read_sentences()

    assert len(sentences.texts) >= 520
    assert len(sentences.pairs) == 10
    assert len(set(sentences.texts)) == len(sentences.texts)


def test_pairs_point_at_both_texts_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("one\ntwo\n")
    (tmp_path / "paraphrases.tsv").write_text("this\tthat\n")

    sentences = read_sentences(tmp_path, limit=1)

    assert sentences.texts == ["one", "this", "that"]
    assert sentences.pairs == [(1, 2)]


def test_a_vector_of_another_length_is_noticed(vectors: Vectors) -> None:
    assert check_norms(vectors).holds

    vectors[2] *= 1.01

    assert not check_norms(vectors).holds


def test_each_of_a_pair_must_be_the_others_nearest(vectors: Vectors) -> None:
    assert check_neighbours(vectors, [(0, 1), (2, 3)]).holds

    check = check_neighbours(vectors, [(0, 1), (1, 2)])

    assert not check.holds
    assert check.found == "1 of 2 pairs"


def test_a_number_that_differs_from_the_direct_call_is_noticed(vectors: Vectors) -> None:
    direct = vectors.copy()
    assert check_direct(vectors, direct).holds

    direct[3, 1] += 2e-4

    assert not check_direct(vectors, direct).holds


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)])
def test_a_percentile_is_the_least_value_that_covers_the_share(share: float, expected: float) -> None:
    assert expected == percentile([float(n) for n in range(100, 0, -1)], share)


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0


def test_forward_passes_are_counted_from_the_sizes_that_jobs_report() -> None:
    figures = Figures(
        first_accepted_s=1.0,
        took_s=2.0,
        latencies_ms=[1.0] * 5,
        batch_sizes=[4, 4, 4, 4, 1],
        alone_ms=[1.0],
    )

    assert figures.batches == 2.0


def test_without_a_terminal_progress_is_four_lines() -> None:
    out = io.StringIO()
    report = Report(Console(file=out))

    with report.progress(8) as advance:
        for _ in range(8):
            advance()

    assert out.getvalue().split() == ["results", "2/8", "results", "4/8", "results", "6/8", "results", "8/8"]
