"""The door for photos: whatever way a picture is stored, it comes out upright, in sRGB, on white."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from preprocess.pictures import Limits, PictureError, can_read_heic, check_picture, look_at, read_picture

HEIGHT, WIDTH = 60, 40


def scene() -> NDArray[np.uint8]:
    """Smooth colours that differ in every corner, so that JPEG loses little and a turn shows."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    colours = [rows * 4, columns * 6, 200 - rows - columns]
    return np.stack(colours, axis=2).clip(0, 255).astype(np.uint8)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def turned_by_tag(tag: int, kind: str = "JPEG") -> bytes:
    """The scene as a camera held otherwise stores it."""
    undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(tag)
    picture = Image.fromarray(scene())
    if undo is not None:
        exif = picture.getexif()
        exif[0x0112] = undo
        picture = ImageOps.exif_transpose(picture)
    exif = Image.Exif()
    exif[0x0112] = tag
    return saved(picture, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_a_tag_turns_a_photo_upright(tag: int, kind: str) -> None:
    content = turned_by_tag(tag, kind)
    picture, facts = read_picture(content), look_at(content)
    assert picture.shape == (HEIGHT, WIDTH, 3) == (facts.image_height, facts.image_width, 3)
    assert np.abs(picture.astype(int) - scene()).mean() < 3
    assert facts.plain == (kind == "JPEG" and tag == 1)


def test_a_tag_that_contradicts_a_map_of_the_photo_is_stale(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "photo.jpg").write_bytes(saved(Image.fromarray(scene()), "JPEG", exif=exif))
    Image.new("L", (WIDTH // 2, HEIGHT // 2)).save(tmp_path / "parse.png")
    for beside, shape in (((), (WIDTH, HEIGHT, 3)), ((tmp_path / "parse.png",), (HEIGHT, WIDTH, 3))):
        assert read_picture(tmp_path / "photo.jpg", beside=beside).shape == shape
        assert look_at(tmp_path / "photo.jpg", beside=beside).image_height == shape[0]
        assert not look_at(tmp_path / "photo.jpg", beside=beside).plain


def deep(levels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return levels.astype(np.uint16) * np.uint16(257)


def alike() -> dict[str, bytes]:
    """The grey of the scene, stored in every way that keeps it."""
    grey = Image.fromarray(scene()).convert("L")
    clear = grey.convert("LA")
    multiple = [grey.convert("RGB"), Image.new("RGB", grey.size, "red")]
    return {
        "L": saved(grey, "PNG"),
        "LA": saved(clear, "PNG"),
        "RGBA": saved(grey.convert("RGBA"), "PNG"),
        "RGBX in TIFF": saved(grey.convert("RGB"), "TIFF"),
        "16 bits": saved(Image.fromarray(deep(np.asarray(grey))), "PNG"),
        "16 bits in TIFF": saved(Image.fromarray(deep(np.asarray(grey))), "TIFF"),
        "8 bits in 16": saved(Image.fromarray(np.asarray(grey).astype(np.uint16)), "PNG"),
        "fractions": saved(Image.fromarray((np.asarray(grey) / 255).astype(np.float32)), "TIFF"),
        "palette": saved(grey.convert("P"), "PNG"),
        "GIF": saved(grey.convert("P"), "GIF"),
        "lossless WebP": saved(grey.convert("RGB"), "WEBP", lossless=True),
        "animated WebP": saved(
            multiple[0], "WEBP", save_all=True, append_images=multiple[1:], lossless=True, duration=100
        ),
        "BMP": saved(grey, "BMP"),
        "progressive JPEG": saved(grey, "JPEG", progressive=True, quality=100),
        "CMYK JPEG": saved(grey.convert("RGB").convert("CMYK"), "JPEG", quality=100),
        "sRGB profile": saved(
            grey.convert("RGB"),
            "PNG",
            icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ),
        "broken profile": saved(grey.convert("RGB"), "PNG", icc_profile=b"no profile at all"),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "run `git lfs pull`"),
        (b"<html>404 not found</html>", "not an image$"),
        (b"", "the file is empty$"),
    ],
)
def test_what_is_no_picture_says_what_it_is(content: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        read_picture(content)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_of_every_colour_are_read(suffix: str, alpha: bool, tmp_path: Path) -> None:
    """As RAW converters write them."""
    colours = deep(scene()[:, :, ::-1])
    opaque = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    cv2.imwrite(str(tmp_path / f"deep{suffix}"), np.dstack([colours, opaque]) if alpha else colours)
    assert np.abs(read_picture(tmp_path / f"deep{suffix}").astype(int) - scene()).max() <= 1


@pytest.mark.parametrize("name", alike())
def test_the_same_picture_reads_alike(name: str) -> None:
    grey = np.asarray(Image.fromarray(scene()).convert("L"))[:, :, None].astype(int)
    assert np.abs(read_picture(alike()[name]) - grey).max() <= 4


def test_what_is_transparent_is_white() -> None:
    clear = np.dstack(
        [scene(), np.where(np.arange(WIDTH) < 20, 0, 255)[None].repeat(HEIGHT, 0).astype(np.uint8)]
    )
    for content in (
        clear,
        saved(Image.fromarray(clear, "RGBA"), "PNG"),
        saved(Image.fromarray(clear), "WEBP"),
    ):
        picture = read_picture(content)
        assert (picture[:, :19] > 250).all()
        assert np.abs(picture[:, 21:].astype(int) - scene()[:, 21:]).mean() < 6


def test_colours_of_another_profile_are_converted() -> None:
    """Red of a profile with swapped primaries isn't red."""
    picture = Image.new("RGB", (20, 20), (200, 30, 30))
    other_kind = profile_of("LAB")
    assert (read_picture(saved(picture, "PNG", icc_profile=other_kind)) == (200, 30, 30)).all()
    assert not look_at(saved(picture, "JPEG", icc_profile=other_kind)).plain
    swapped = swapped_primaries()
    red, green, blue = read_picture(saved(picture, "PNG", icc_profile=swapped))[0, 0].tolist()
    assert green > 150 > max(red, blue) + 50, "what the profile calls its first channel is green"
    assert not look_at(saved(picture, "JPEG", icc_profile=swapped)).plain


def test_a_profile_is_told_by_what_it_does_and_not_by_its_name() -> None:
    """Linear sRGB keeps the name; one of another name leaves colours as they are."""
    named = profile_of("sRGB")
    curve = named.index(b"para")
    linear = named[:curve] + b"para\0\0\0\0\0\0\0\0" + (1 << 16).to_bytes(4, "big") + named[curve + 16 :]
    picture = Image.new("RGB", (20, 20), (55, 55, 55))
    (level,) = set(read_picture(saved(picture, "PNG", icc_profile=linear))[0, 0].tolist())
    assert level == pytest.approx(255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055), abs=1.5)
    assert not look_at(saved(picture, "JPEG", icc_profile=linear)).plain
    renamed = named.replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB", b"othe")
    assert look_at(saved(picture, "JPEG", icc_profile=renamed)).plain
    assert look_at(saved(picture, "JPEG", icc_profile=named)).plain


def test_levels_between_whole_numbers_are_rounded() -> None:
    """Float pictures have them where a program resized them, and a little more than white besides."""
    levels = np.tile(np.array([0.4, 199.6, 255.3, 254.5], np.float32), (16, 4))
    read = read_picture(saved(Image.fromarray(levels), "TIFF"))
    assert read[0, :4, 0].tolist() == [0, 200, 255, 254]


def profile_of(space: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def swapped_primaries() -> bytes:
    """sRGB's profile under another name, with the tags of red and green exchanged."""
    profile = profile_of("sRGB").replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB", b"othe")
    return profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_pixels=1000), r"at most 1,000 pixels, got 40x60"),
        (Limits(max_bytes=100), r"at most 100 bytes, got"),
    ],
)
def test_what_is_too_large_is_not_decoded(limits: Limits, message: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(scene()).save(path)
    for read in (read_picture, look_at, check_picture):
        with pytest.raises(PictureError, match=message):
            read(path, limits=limits)


def test_heic_is_read_where_the_extra_is_there(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    if not can_read_heic():
        path.write_bytes(b"\0\0\0\x24ftypheic" + bytes(200))
        with pytest.raises(PictureError, match=r"HEIC needs the extra `heic`: pip install"):
            read_picture(path)
        return
    Image.fromarray(scene()).resize((80, 120)).save(path, "HEIF", quality=95)
    assert read_picture(path).shape == (120, 80, 3)
