"""Folders, lists, tables and names as people have them."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from preprocess.sizes.chart import SizeChart
from preprocess.sources.dress_code import DressCode
from preprocess.sources.folder import Folder
from preprocess.sources.keys import LONGEST, name_of, safe_key
from preprocess.sources.pairs import read_pairs, stem_of
from preprocess.sources.viton_hd import VitonHd
from preprocess.untrusted import read_table
from shards.ustar import KEY

NOBODY = 65534
"""A user who owns nothing."""


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_name_is_a_safe_key_and_back(name: str) -> None:
    key = safe_key(name)
    assert KEY.fullmatch(key)
    assert len(key) <= LONGEST
    if "+-" not in key:
        assert name_of(key) == name


@given(st.lists(st.text("a_/+-.2 é", min_size=1, max_size=6), unique=True))
def test_different_names_have_different_keys(names: list[str]) -> None:
    assert len(set(map(safe_key, names))) == len(names)


def test_data_sets_keep_their_keys_and_long_names_get_a_hash() -> None:
    assert safe_key("00006_00") == "00006_00"
    assert safe_key("sub/photo-1") == "sub__photo-1"
    assert safe_key("模" * 40) != safe_key("模" * 41)
    with pytest.raises(ValueError, match=r"row of manifest\.parquet has the photo's path"):
        name_of(safe_key("模" * 40))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("my photo 1.jpg my photo 1.jpg\nb.PNG shirt.Webp\n", "utf-8"),
        ("my photo 1.JPG\tmy photo 1.JPG\r\nb.png\tshirt.webp\r\n", "utf-8-sig"),
        ("my photo 1.jpg,my photo 1.jpg\n\n b.png , shirt.webp \n", "utf-16"),
        ('"my photo 1.jpg" "my photo 1.jpg"\nb shirt\n', "utf-8"),
        ("image/my photo 1.jpg cloth/my photo 1.jpg\n.\\image\\b.png .\\cloth\\shirt.webp\n", "utf-8"),
        ("my photo 1\tmy photo 1\nb\tshirt\n", "utf-16-le"),
    ],
)
def test_a_list_is_read_as_people_write_it(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes((b"\xff\xfe" if encoding == "utf-16-le" else b"") + text.encode(encoding))
    pairs = [(stem_of(pair.person), stem_of(pair.cloth)) for pair in read_pairs(path)]
    assert pairs == [("my photo 1", "my photo 1"), ("b", "shirt")]


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 40)).save(path, "JPEG")


def viton(root: Path, *files: str, pairs: str) -> VitonHd:
    for file in files:
        photo(root / "test" / file)
    (root / "test_pairs.txt").write_text(pairs, encoding="utf-8")
    return VitonHd(root, split="test")


def test_parts_are_found_by_other_names(tmp_path: Path) -> None:
    source = viton(
        tmp_path,
        "images/a.JPEG",
        "Cloth/a.png",
        "cloth_mask/a_mask.npz",
        "image-parse/a.png",
        "image_densepose/a_densepose.png",
        "pose/a.json",
        pairs="a.jpg a.jpg\n",
    )
    (sample,) = source.samples()
    found = {name: path.relative_to(tmp_path / "test").as_posix() for name, path in sample.parts()}
    assert found == {
        "image": "images/a.JPEG",
        "cloth": "Cloth/a.png",
        "cloth_mask": "cloth_mask/a_mask.npz",
        "parse": "image-parse/a.png",
        "densepose": "image_densepose/a_densepose.png",
        "openpose_json": "pose/a.json",
    }


def test_names_apart_and_composed_are_one(tmp_path: Path) -> None:
    """macOS writes an accent of its own; lists have the letter with its accent."""
    (sample,) = viton(
        tmp_path, "image/Zoe\u0308.jpg", "cloth/Zoe\u0308.jpg", pairs="Zo\u00eb.jpg Zo\u00eb.jpg\n"
    ).samples()
    assert sample.cloth is not None


def test_what_lies_there_instead_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = viton(tmp_path, "image/a.jpg", "skeletons/a.json", "skeletons/b.json", pairs="a.jpg a.jpg\n")
    list(source.samples())
    assert "openpose_json/ not found; skeletons/ has 2 files" in caplog.text
    with pytest.raises(
        FileNotFoundError, match=r"image/b\.png not found, but .*test_pairs\.txt:1 'b\.png b\.png'"
    ):
        list(viton(tmp_path, pairs="b.png b.png\n").samples())
    (tmp_path / "test_pairs.txt").rename(tmp_path / "pairs_test.txt")
    with pytest.raises(FileNotFoundError, match=r"has pairs_test\.txt"):
        list(source.samples())


def test_parts_that_are_named_after_nobody_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = viton(
        tmp_path, "image/a.jpg", "openpose_json/a_000000000000_keypoints.json", pairs="a.jpg a.jpg\n"
    )
    list(source.samples())
    assert (
        "openpose_json/ has 1 files, but none is named as a photo: the first is a_000000000000_keypoints.json"
        in caplog.text
    )


def test_a_name_may_begin_with_a_dot_and_a_link_may_lead_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "test/image").mkdir(parents=True)
    (tmp_path / "test/image/circle.jpg").symlink_to(tmp_path / "test/image/circle.jpg")
    source = viton(
        tmp_path, "image/.a.jpg", "image/._a.jpg", "cloth/.a.jpg", "pose/.a.jpg.json", pairs=".a.jpg .a.jpg\n"
    )
    (sample,) = source.samples()
    found = [path.relative_to(tmp_path / "test").as_posix() for _, path in sample.parts()]
    assert (sample.key, found) == ("+2ea", ["image/.a.jpg", "cloth/.a.jpg", "pose/.a.jpg.json"])
    (tmp_path / "test_pairs.txt").write_text("circle.jpg circle.jpg\n")
    with pytest.raises(FileNotFoundError, match=r"image/circle\.jpg not found, but .*:1 'circle\.jpg circle"):
        list(source.samples())


def test_photos_that_differ_by_their_suffix_are_two_people(tmp_path: Path) -> None:
    source = viton(tmp_path, "image/a.jpg", "image/a.png", "cloth/a.jpg", pairs="a.jpg a.jpg\na.png a.png\n")
    assert {sample.key: sample.image.name for sample in source.samples()} == {
        "a+2ejpg": "a.jpg",
        "a+2epng": "a.png",
    }
    for name in ("image-parse/a.png.png", "image-parse/a.png", "openpose_json/a_keypoints.json"):
        photo(tmp_path / "test" / name)
    (tmp_path / "test/openpose_json/a.jpg_keypoints.json").write_text("{}")
    parts = {sample.key: dict(sample.parts()) for sample in source.samples()}
    assert {key: sorted(path.name for path in found.values()) for key, found in parts.items()} == {
        "a+2ejpg": ["a.jpg", "a.jpg", "a.jpg_keypoints.json"],
        "a+2epng": ["a.png", "a.png"],
    }, "a.jpg's garment and joints, a.png's parse map; of a_keypoints.json nobody knows whose it is"
    for name in ("b.jpg", "b.PNG", "b.PNG.jpg", "c.jpg"):
        photo(tmp_path / "photos" / name)
    keys = {name_of(sample.key) for sample in Folder(tmp_path / "photos").samples()}
    assert keys == {"b.jpg", "b.PNG", "b.PNG.jpg", "c"}
    for name in ("b.json", "b.PNG.json", "c.jpg.JSON", "c.parse.PNG"):
        (tmp_path / "photos" / name).write_bytes(b"")
    parts = {name_of(sample.key): dict(sample.parts()) for sample in Folder(tmp_path / "photos").samples()}
    assert {key: [path.name for path in found.values()] for key, found in parts.items()} == {
        "b.jpg": ["b.jpg"],
        "b.PNG": ["b.PNG", "b.PNG.json"],
        "b.PNG.jpg": ["b.PNG.jpg"],
        "c": ["c.jpg", "c.parse.PNG", "c.jpg.JSON"],
    }


def test_a_garment_with_a_name_of_its_own_is_the_worn_one(tmp_path: Path) -> None:
    source = viton(
        tmp_path, "image/a.jpg", "image/b.jpg", "cloth/shirt.jpg", "cloth/b.jpg", pairs="a shirt\nb shirt\n"
    )
    a, b = source.samples()
    assert (a.cloth, a.unpaired_key) == (tmp_path / "test/cloth/shirt.jpg", None)
    assert (b.cloth, b.unpaired_key) == (tmp_path / "test/cloth/b.jpg", "a"), "whose garment it is"


def test_the_paired_list_says_what_is_worn(tmp_path: Path) -> None:
    """Garments with names of their own: the other list says what is tried on, and its last lines nothing."""
    (tmp_path / "test_pairs_paired.txt").write_text("p1.jpg gA.jpg\np2.jpg gB.jpg\np2.jpg gA.jpg\n")
    source = viton(
        tmp_path,
        *(
            "image/p1.jpg",
            "image/p2.jpg",
            "image/p3.jpg",
            "cloth/gA.jpg",
            "cloth/gB.jpg",
            "cloth-mask/gA.jpg",
        ),
        pairs="p1.jpg gB.jpg\np2.jpg gA.jpg\np3.jpg p3.jpg\np1.jpg gA.jpg\n",
    )
    found = {
        sample.key: (sample.cloth and sample.cloth.stem, sample.unpaired_key) for sample in source.samples()
    }
    assert found == {"p1": ("gA", "p2"), "p2": ("gB", "p1"), "p3": (None, None)}


def test_whose_garment_is_tried_on_is_found_by_the_file(tmp_path: Path) -> None:
    """The list has composed accents and macOS's files have not; a.png is another person than a.jpg."""
    source = viton(
        tmp_path,
        *("image/Zoe\u0308.jpg", "cloth/Zoe\u0308.jpg", "image/a.jpg", "image/a.png", "cloth/a.jpg"),
        *("cloth/a.png", "cloth-mask/a.jpg.png"),
        pairs="Zo\u00eb.jpg a.png\na.jpg Zo\u00eb.jpg\na.png a.jpg\n",
    )
    samples = list(source.samples())
    keys = [sample.key for sample in samples]
    assert [sample.unpaired_key for sample in samples] == [keys[2], keys[0], keys[1]]
    assert samples[2].unpaired_cloth_mask == tmp_path / "test/cloth-mask/a.jpg.png"


def test_junk_is_passed_over_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (
        "me.jpg",
        "._me.jpg",
        "__MACOSX/me.jpg",
        ".ipynb_checkpoints/me-checkpoint.jpg",
        "sub/me.tif",
    ):
        photo(tmp_path / name)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere.png")
    for name in ("raw.CR2", "clip.mp4", "me.json"):
        (tmp_path / name).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        samples = list(Folder(tmp_path).samples())
    assert [sample.key for sample in samples] == ["me", "sub__me"]
    assert samples[0].openpose_json == tmp_path / "me.json"
    for said in (
        "3 hidden files",
        "1 folders named like",
        "1 dead links",
        "1 .cr2 (save it as",
        "1 .mp4 suffix",
    ):
        assert said in caplog.text
    (tmp_path / "only").mkdir()
    (tmp_path / "only/dead.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match=r"has no photo that can be read, but 1 dead links named like"):
        list(Folder(tmp_path / "only").samples())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"has no photo that can be read, but nothing at all"):
        list(Folder(tmp_path / "empty").samples())


def test_folders_that_may_not_be_read_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders around it are root's
    for name in ("me.jpg", "sub/her.jpg", "sub/deep/him.jpg"):
        photo(Path("photos", name))
    Path("photos").chmod(0o755)
    Path("photos/sub").chmod(0)
    user = os.geteuid()
    os.seteuid(user or NOBODY)  # root reads all
    try:
        assert [sample.key for sample in Folder(Path("photos")).samples()] == ["me"]
        assert "photos: passed over 1 folders that you have no permission for" in caplog.text
        with pytest.raises(PermissionError, match="photos/sub"):
            list(Folder(Path("photos/sub")).samples())
    finally:
        os.seteuid(user)
        Path("photos/sub").chmod(0o755)


def splits_of(root: Path, split: str | None = None) -> dict[str, str]:
    return {sample.key: sample.split for sample in Folder(root, split).samples()}


def test_a_flat_folder_is_dealt_to_both_splits_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index in range(12):
        photo(tmp_path / f"{index}.jpg")
    before = splits_of(tmp_path)
    assert sorted(before.values()) == 6 * ["test"] + 6 * ["train"]
    assert set(splits_of(tmp_path, "test").values()) == {"test"}, "a split that is named takes every photo"
    assert len(splits_of(tmp_path, "test")) == 12
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "all 12 photos are of test, and would be of the other split" in "".join(warned)
    for upto in (13, 20, 40, 200):
        for index in range(len(before), upto):
            photo(tmp_path / f"{index}.jpg")
        after = splits_of(tmp_path)
        moved = [key for key, split in before.items() if split == "train" and after[key] == "test"]
        assert not moved, "who was trained on is never judged"
        before = after
    assert 25 < sum(split == "test" for split in before.values()) < 55, "a fifth of 200"


def test_folders_named_like_splits_are_the_splits(tmp_path: Path) -> None:
    for name in ("train/a.jpg", "train/sub/b.jpg", "test/c.jpg", "d.jpg"):
        photo(tmp_path / name)
    expected = {"train__a": "train", "train__sub__b": "train", "test__c": "test", "d": "test"}
    assert splits_of(tmp_path) == expected
    assert splits_of(tmp_path, "train") == {key: one for key, one in expected.items() if one == "train"}
    (tmp_path / "train").rename(tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "Train")
    assert sorted(splits_of(tmp_path).values()) == sorted(expected.values()), "in any case"


def test_maps_are_found_in_upper_case_and_those_of_no_photo_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.JPG", "a.PARSE.PNG", "a_KEYPOINTS.JSON", "A.b.jpg", "A.b.Parse.png"):
        (tmp_path / name).touch()
    (sample, other) = sorted(Folder(tmp_path).samples(), key=lambda sample: str(sample.image))[::-1]
    assert (sample.parse, sample.openpose_json) == (tmp_path / "a.PARSE.PNG", tmp_path / "a_KEYPOINTS.JSON")
    assert other.parse == tmp_path / "A.b.Parse.png"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    for name in ("b.parse.png", "a.parse.npy", "a.parse.jpg"):  # nobody's, one too many, no parse map
        (tmp_path / name).touch()
    assert len([*Folder(tmp_path).samples()]) == 2
    assert (
        "3 maps or joints are no photo's: those of photo.jpg are photo.parse.png, photo.json" in caplog.text
    )


def test_links_to_folders_are_counted(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/b.jpg").touch()
    (tmp_path / "near").mkdir()
    (tmp_path / "near/train").symlink_to(tmp_path / "far")
    with pytest.raises(ValueError, match="no photo that can be read, but 1 links to folders"):
        [*Folder(tmp_path / "near").samples()]


def test_the_garment_alone_may_lie_beside_a_photo(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.cloth.jpg", "a.cloth_mask.png", "b.jpg"):
        photo(tmp_path / name)
    samples = {sample.key: sample for sample in Folder(tmp_path).samples()}
    assert set(samples) == {"a", "b"}
    assert samples["a"].cloth == tmp_path / "a.cloth.jpg"
    assert samples["a"].cloth_mask == tmp_path / "a.cloth_mask.png"
    assert samples["b"].cloth is None


def test_dress_code_is_found_with_other_suffixes(tmp_path: Path) -> None:
    for name in ("images/1_0.png", "images/1_1.PNG", "dense/1_5.png", "keypoints/1_2.json"):
        photo(tmp_path / "upper_body" / name)
    (tmp_path / "upper_body/test_pairs_paired.txt").write_bytes(b"\xef\xbb\xbf1_0.jpg\t1_1.jpg\t0\r\n")
    (tmp_path / "upper_body/test_pairs_unpaired.txt").write_text("1_0.jpg 2_1.jpg\n1_0.jpg 3_1.jpg\n")
    (sample,) = DressCode(tmp_path, split="test").samples()
    assert (sample.key, sample.cloth) == ("1", tmp_path / "upper_body/images/1_1.PNG")
    assert sample.unpaired_key == "2", "the first line of a person counts, as in VITON-HD's lists"


TABLES = {
    "commas": "size,chest_cm,length_cm\nS,96.5,68\n",
    "blanks": " size , chest_cm , length_cm \n S , 96.5 , 68 \n\n",
    "semicolons": "size;chest_cm;length_cm\r\nS;96,5;68\r\n",
    "tabs": "size\tchest_cm\tlength_cm\nS\t96.5\t68\n",
    "Excel": "sep=;\r\nsize;chest_cm;length_cm;\r\nS;96,5;68;\r\n",
    "quoted": 'size,chest_cm,length_cm\n"S","96,5","68"\n',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", TABLES)
def test_a_chart_is_read_as_programs_write_it(name: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_bytes(TABLES[name].encode(encoding))
    garment = SizeChart.read(path).sizes["S"]
    assert (garment.chest_cm, garment.length_cm) == (96.5, 68)


def test_surplus_cells_and_bad_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2,3\n")
    assert list(read_table(path).rows) == [(2, {"a": "1", "b": "2", "": "3"})]
    path.write_text('a,b\n1,"2\n')
    with pytest.raises(ValueError, match=r"table\.csv: line 2 is not CSV"):
        list(read_table(path).rows)
    path.write_bytes("a,b\n1,é\n".encode("latin-1"))
    with pytest.raises(ValueError, match="must be UTF-8 text"):
        read_table(path)
