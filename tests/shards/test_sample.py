import dataclasses
import io
import subprocess
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from preprocess.sizes.axes import AXIS_NAMES
from shards.sample import decode, decode_record, encode, encode_record
from shards.ustar import END_OF_TAR, SampleError, header, pack, unpack
from tests.shards.making import HEIGHT, WIDTH, record, sample
from tests.sizes import of_tops


def test_decoding_inverts_encoding() -> None:
    one = sample("00001_00")
    members = encode(one)
    assert decode("00001_00", members) == one
    assert encode(decode("00001_00", members)) == members


def test_optional_pictures_stay_missing() -> None:
    one = sample("a", garment_cover=None, cloth_mask=None, densepose=None)
    assert list(encode(one)) == ["image.jpg", "cloth.jpg", "inpaint_mask.png", "size.json"]
    assert decode("a", encode(one)) == one


def test_samples_differ_when_a_mask_differs_by_one_pixel() -> None:
    one = sample("a")
    other = dataclasses.replace(one, inpaint_mask=one.inpaint_mask ^ np.eye(HEIGHT, WIDTH, dtype=bool))
    assert one != other


def test_masks_are_stored_with_one_bit_a_pixel() -> None:
    with Image.open(io.BytesIO(encode(sample("a"))["inpaint_mask.png"])) as mask:
        assert (mask.mode, mask.size) == ("1", (WIDTH, HEIGHT))


def test_photos_keep_their_bytes() -> None:
    one = sample("a")
    assert encode(one)["image.jpg"] == one.image


numbers = st.floats(-1e6, 1e6)
joints = st.one_of(st.tuples(numbers, numbers, st.floats(0, 1)), st.just((None, None, 0.0)))


@settings(deadline=None)
@given(
    ratios=st.tuples(*len(AXIS_NAMES) * [st.none() | numbers]),
    keypoints=st.lists(joints, min_size=25, max_size=25).map(tuple),
    caption=st.text(),
    label=st.sampled_from([None, "tight", "oversized"]),
)
def test_any_record_survives_json(ratios, keypoints, caption, label) -> None:
    one = record("a", ratios=ratios, keypoints=keypoints, caption=caption, fit_label=label)

    assert decode_record("a", encode_record(one)) == one


def test_missing_numbers_become_nan() -> None:
    one = record("a")
    np.testing.assert_array_equal(one.ratio_array(), of_tops([1.25, np.nan, 0.9]).astype(np.float32))
    assert np.isnan(one.keypoint_array()[1, :2]).all()
    assert one.keypoint_array()[1, 2] == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"key":"a"', b'"key":"b"', "belongs to the sample 'b'"),
        (b'"ratios":[1.25,null,0.9', b'"ratios":[1.25,0.9', "no valid ratios"),
        (b'"ratios":[1.25,null,0.9', b'"ratios":[true,1,1', "no valid ratios"),
        (b'"ratios":[1.25,null,0.9', b'"ratios":[NaN,1,1', "no valid ratios"),
        (b'"image_height":32', b'"image_height":0', "no valid image_height"),
        (b'"status":"ok"', b'"status":"fine"', "no valid status"),
        (b'"schema_version":2', b'"schema_version":9', "schema version 2: .*got 9"),
        (b'"caption"', b'"title"', "no valid caption"),
        (b"[12.0,8.5,0.9]", b"[12.0,null,0.9]", "no valid keypoints"),
        (b'{"key"', b'[{"key"', "isn't a JSON object"),
    ],
)
def test_a_wrong_record_is_refused_by_name(old: bytes, new: bytes, message: str) -> None:
    content = encode_record(record("a"))
    assert old in content
    with pytest.raises(SampleError, match=f"^a: .*{message}"):
        decode_record("a", content.replace(old, new))


def test_deep_json_is_refused() -> None:
    with pytest.raises(SampleError, match="isn't a JSON object"):
        decode_record("a", b"[" * 100_000)


def test_a_picture_that_claims_to_be_huge_is_refused_before_decoding() -> None:
    members = encode(sample("a"))
    png = bytearray(members["inpaint_mask.png"])
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(SampleError, match=r"a: inpaint_mask.png is .*60000x60000"):
        decode("a", members | {"inpaint_mask.png": bytes(png)})


def test_a_missing_member_is_named() -> None:
    members = encode(sample("a"))
    del members["cloth.jpg"]
    with pytest.raises(SampleError, match=r"a: the member cloth.jpg is missing, it has image.jpg"):
        decode("a", members)


def test_unpacking_inverts_packing() -> None:
    members = {"image.jpg": b"12", "size.json": b"x" * 513, "empty.bin": b""}
    assert unpack("a-1_0", pack("a-1_0", members)) == members


def test_python_and_gnu_tar_read_the_same_members(tmp_path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(pack("a", {"image.jpg": b"12", "size.json": b"x" * 513}) + END_OF_TAR)
    with tarfile.open(path) as tar:
        found = {
            (info.name, info.size, info.mode, info.mtime, info.uid, info.gid, info.uname) for info in tar
        }
    assert found == {("a.image.jpg", 2, 0o644, 0, 0, 0, ""), ("a.size.json", 513, 0o644, 0, 0, 0, "")}
    listing = subprocess.run(["tar", "tf", path], capture_output=True, text=True, check=True).stdout
    assert listing.split() == ["a.image.jpg", "a.size.json"]


@pytest.mark.parametrize("key", ["", "../a", "a/b", "a.b", "-a", "ä", "a b"])
def test_a_key_that_cannot_name_files_is_refused(key: str) -> None:
    with pytest.raises(SampleError, match="a key must consist of"):
        pack(key, {"image.jpg": b""})


def test_a_name_too_long_for_ustar_is_refused() -> None:
    with pytest.raises(SampleError, match="at most 100 bytes"):
        pack("a" * 95, {"image.jpg": b""})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-512], "cut short"),
        (lambda b: header("b.image.jpg", 2) + b[512:], "'b.image.jpg' in this sample's place"),
        (lambda b: header("../x", 2) + b[512:], "'../x' in this sample's place"),
        (lambda b: b + b, "'a.image.jpg' in this sample's place"),
        (lambda b: b[:124] + b"zzz" + b[127:], "header at byte 0 of the sample is damaged"),
        (lambda b: b[:156] + b"2" + b[157:], "isn't a plain file"),
    ],
)
def test_damaged_tar_bytes_are_refused_by_name(damage, message: str) -> None:
    with pytest.raises(SampleError, match=f"^a: .*{message}"):
        unpack("a", damage(pack("a", {"image.jpg": b"12"})))
