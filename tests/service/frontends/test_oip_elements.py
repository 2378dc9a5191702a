"""BYTES tensors in the binary layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnsvc.errors import InvalidError
from service.frontends.oip_elements import join_elements, split_elements


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_there_and_back(elements: list[bytes]) -> None:
    """What was joined is split into the same elements, empty ones included."""
    assert split_elements(join_elements(elements), len(elements)) == elements


@pytest.mark.parametrize(
    ("raw", "count", "words"),
    [
        (b"", 1, "has 0 elements; its shape says 1"),
        (b"\1\0\0", 1, "ends within the length of element 1"),
        (b"\5\0\0\0abc", 1, "says that it has 5 bytes, and 3 follow"),
        (b"\xff\xff\xff\xff", 1, "says that it has 4294967295 bytes, and 0 follow"),
        (b"\1\0\0\0a\1\0\0\0b", 1, "5 bytes more than its shape's 1 elements"),
        (b"\1\0\0\0a", 2, "has 1 elements; its shape says 2"),
        (b"\0\0\0\0" * 1000, 2, "3992 bytes more"),
    ],
)
def test_lengths_that_lie(raw: bytes, count: int, words: str) -> None:
    """They are refused with what they say and what is there."""
    with pytest.raises(InvalidError, match=words):
        split_elements(raw, count)
