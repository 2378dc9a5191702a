"""How long a call will wait, as arithmetic."""

import pytest

from service.pace import Backlog, Pace, expected_seconds, is_in_time

SMALL, LARGE = 10_000, 4_000_000
"""Bytes of a thumbnail and of a photograph."""


def pace_of(*images: tuple[int, float, float], times: int = 100) -> Pace:
    """After those images, of bytes, decoding and inference, in turn."""
    pace = Pace()
    for _ in range(times):
        for num_bytes, decode_seconds, inference_seconds in images:
            pace.observe(num_bytes, decode_seconds=decode_seconds, inference_seconds=inference_seconds)
    return pace


def test_images_of_different_size_are_told_apart() -> None:
    """Beside thumbnails a photograph is expected to take its decoding longer, and a thumbnail little."""
    pace = pace_of((SMALL, 0.0001, 0.003), (LARGE, 0.025, 0.003))
    assert pace.seconds(1, LARGE) == pytest.approx(0.028, rel=0.02)
    assert pace.seconds(1, SMALL) == pytest.approx(0.0031, rel=0.02)
    assert pace.seconds(10, 10 * LARGE) == pytest.approx(10 * pace.seconds(1, LARGE))


def test_pixels_cost_their_inference_alone() -> None:
    """Of images without bytes to decode the inference is learnt, and nothing else is expected of them."""
    pace = pace_of((0, 0.0, 0.003))
    assert pace.seconds(2, 0) == pytest.approx(0.006)
    assert pace_of((SMALL, 0.001, 0.003)).seconds(2, 0) == pytest.approx(0.006)


def test_pixels_leave_the_pace_of_decoding_alone() -> None:
    """After a photograph and thousands of decoded images another photograph is expected to take as long."""
    pace = pace_of((LARGE, 0.025, 0.003), times=1)
    for _ in range(5000):
        pace.observe(0, decode_seconds=0.00001, inference_seconds=0.003)
    assert pace.seconds(1, LARGE) == pytest.approx(0.028)


def test_streams_share_the_backlog() -> None:
    """What waits is divided by the streams, and so are a call's own images, as far as there are any."""
    pace = pace_of((SMALL, 0.001, 0.009))
    backlog = Backlog(40, 40 * SMALL)
    assert expected_seconds(pace, backlog, 2, 1, SMALL) == pytest.approx(0.21)
    assert expected_seconds(pace, backlog, 2, 6, 6 * SMALL) == pytest.approx(0.23)
    assert expected_seconds(pace, backlog, 4, 0, 0) == pytest.approx(0.1)


def test_a_free_stream_refuses_nobody() -> None:
    """However slow all has been, where a stream is free nothing is expected; nor is it before the first image."""
    pace = pace_of((SMALL, 100.0, 100.0))
    assert expected_seconds(pace, Backlog(1, SMALL), 2, 128, 128 * LARGE) == 0
    assert expected_seconds(pace, Backlog(2, SMALL), 2, 1, SMALL) > 100
    assert expected_seconds(Pace(), Backlog(500, SMALL), 2, 1, SMALL) == 0


def test_an_estimate_gone_wrong_heals() -> None:
    """A machine that stood still for ten seconds is expected to be as fast as ever after some two hundred images."""
    pace = pace_of((SMALL, 0.0001, 0.003))
    pace.observe(SMALL, decode_seconds=10, inference_seconds=0.003)
    assert pace.seconds(1, SMALL) > 0.1
    for _ in range(200):
        pace.observe(SMALL, decode_seconds=0.0001, inference_seconds=0.003)
    assert pace.seconds(1, SMALL) == pytest.approx(0.0031, rel=0.05)


def test_what_would_be_close_to_its_deadline_is_not_in_time() -> None:
    """A mean is no promise: half as much again must fit."""
    assert is_in_time(0.0, 0.001)
    assert is_in_time(0.2, 0.301)
    assert not is_in_time(0.2, 0.299)
