import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from shards.codec import (
    WHOLE,
    decide,
    decode_bits,
    decode_cover,
    decode_mask,
    decode_photo,
    encode_cover,
    encode_mask,
)
from shards.ustar import SampleError

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@settings(deadline=None)
@given(masks)
def test_any_mask_survives_and_others_can_read_it(mask: np.ndarray) -> None:
    content = encode_mask(mask)
    np.testing.assert_array_equal(decode_bits(content), mask)
    with Image.open(io.BytesIO(content)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), mask)


def saved(mask: np.ndarray, mode: str, file_format: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).convert(mode).save(buffer, file_format)
    return buffer.getvalue()


@pytest.mark.parametrize(("mode", "file_format"), [("1", "png"), ("L", "png"), ("RGB", "png"), ("L", "jpeg")])
def test_masks_of_other_writers_are_read(mode: str, file_format: str) -> None:
    mask = np.kron(np.eye(4, dtype=bool), np.ones((16, 16), bool))
    np.testing.assert_array_equal(decode_mask(saved(mask, mode, file_format)), mask)


@settings(deadline=None)
@given(masks, st.data())
def test_a_damaged_mask_is_decoded_or_refused_but_never_crashes(
    mask: np.ndarray, data: st.DataObject
) -> None:
    content = bytearray(encode_mask(mask))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SampleError):
        assert decode_mask(bytes(content)).max(initial=0) <= 1


def test_half_covered_pixels_count() -> None:
    mask = np.array([[1, 1, 0, 0], [0, 0, 1, 0]], dtype=bool)
    assert decode_mask(encode_mask(mask), 1, 2).tolist() == [[1, 0]]
    assert decode_cover(encode_mask(mask), 1, 2).tolist() == [[WHOLE // 2, 64]]  # a quarter, rounded


@settings(deadline=None)
@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.integers(0, WHOLE))
)
def test_any_cover_survives_and_others_can_read_it(cover: np.ndarray) -> None:
    content = encode_cover(cover)
    np.testing.assert_array_equal(decode_cover(content), cover)
    np.testing.assert_array_equal(decode_mask(content), decide(cover))
    with Image.open(io.BytesIO(content)) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("L")) >= 128, cover >= 128)
    assert encode_cover(decide(cover) * np.uint8(WHOLE)) == encode_mask(cover >= WHOLE // 2)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff\xd9", b"\xff\xd8" + b"\xff" * 50])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(SampleError, match=r"not a JPEG or PNG|without a start of frame"):
        decode_photo(content)
