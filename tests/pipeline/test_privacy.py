"""Uploads: judged by content and header, refused with a reason, gone from the disk afterwards."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.demo.privacy import KEPT_SIDE, MAX_BYTES, Uploads, read_photo
from tests.pipeline.photos import png_of

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def save(path: Path, image_format: str, shape: tuple[int, int] = (120, 90)) -> Path:
    Image.new("RGB", shape[::-1], (200, 30, 60)).save(path, image_format)
    return path


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_photos_are_told_by_content_whatever_the_name(tmp_path: Path, image_format: str) -> None:
    photo = read_photo(save(tmp_path / "..<img src=x onerror=alert(1)>.exe", image_format))
    assert photo.shape == (120, 90, 3)
    np.testing.assert_allclose(photo[60, 45], (200, 30, 60), atol=4)


def test_a_turned_phone_photo_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    Image.new("RGB", (120, 90)).save(tmp_path / "phone.jpg", exif=exif)
    assert read_photo(tmp_path / "phone.jpg").shape == (120, 90, 3)


def test_large_photos_are_kept_small(tmp_path: Path) -> None:
    assert read_photo(save(tmp_path / "a.jpg", "JPEG", (4000, 3000))).shape == (
        KEPT_SIDE,
        KEPT_SIDE * 3 // 4,
        3,
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "whole photo", id="empty"),
        pytest.param(b"<svg onload='alert(1)'/>", "whole photo", id="SVG"),
        pytest.param(b"GIF89a" + bytes(64), "whole photo", id="GIF"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(100), "whole photo", id="no header"),
        pytest.param(png_of(200, 20_000), "whole photo", id="cut off"),
        pytest.param(png_of(10_000, 10_000), "pixels, got 10000x10000", id="100 megapixels"),
        pytest.param(png_of(60_000, 60_000), "far too large", id="3600 megapixels"),
        pytest.param(png_of(9, 500), "16 px a side", id="too small"),
        pytest.param(bytes(MAX_BYTES + 1), "at most 20 MB", id="too many bytes"),
    ],
)
def test_refuses_with_a_reason_that_names_no_path(tmp_path: Path, content: bytes, message: str) -> None:
    upload = tmp_path / "photo.png"
    upload.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_photo(upload)
    assert str(tmp_path) not in str(raised.value)


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (90, 120), (10, 20, 30, 0)).save(tmp_path / "cut_out.png")
    assert (read_photo(tmp_path / "cut_out.png") == 255).all()


def test_files_are_deleted_some_time_after_they_were_read_whatever_came_of_it(tmp_path: Path) -> None:
    uploads, good, bad = Uploads(), save(tmp_path / "good.png", "PNG"), tmp_path / "bad.png"
    bad.write_bytes(b"not a photo")
    assert uploads.take(good).shape == (120, 90, 3)
    with pytest.raises(ValueError, match="whole photo"):
        uploads.take(bad)
    uploads.delete_read()
    assert uploads.take(good).shape == (120, 90, 3), "somebody else may have sent the same photo"
    uploads.delete_read(older_than=0)
    assert list(tmp_path.iterdir()) == []
