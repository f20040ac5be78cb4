"""Folders of pictures: the folder is the label, all pictures are of one size, and broken ones are named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram.participant.tables.converting import converted
from engram.participant.tables.mapping import load_mapping, mapped
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.reading import read
from engram.primitives.errors import ChainError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def labels(table: RawTable) -> list[str]:
    return [table.labels.names[code] for code in table.labels.codes]


def refused(folder: Path, **options: object) -> str:
    with pytest.raises(ChainError) as caught:
        read(folder, ReadOptions(**options))  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize("ending", ["png", "bmp", "pgm"])
def test_a_folder_for_each_class_gives_rows_and_labels(tmp_path: Path, ending: str) -> None:
    put(tmp_path / "dog" / f"1.{ending}", GREY)
    put(tmp_path / "cat" / f"2.{ending}", GREY + 1)
    put(tmp_path / "cat" / f"1.{ending}", GREY + 2)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"of another program")
    table = read(tmp_path)
    assert (table.format, table.shape, labels(table)) == ("images", (3, 4), ["cat", "cat", "dog"])
    assert table.features.tolist() == [(GREY + add).ravel().tolist() for add in (2, 1, 0)]


def test_one_picture_in_colours_makes_all_of_them_so(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", GREY)
    put(tmp_path / "b" / "1.png", COLOURS)
    table = read(tmp_path)
    assert table.shape == (3, 4, 3)
    assert table.features[1].tolist() == COLOURS.ravel().tolist()
    assert table.features[0].tolist() == np.repeat(GREY.ravel(), 3).tolist()
    assert read(tmp_path, ReadOptions(grey=True)).shape == (3, 4)


def test_training_and_test_pictures_are_told_apart(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 1)):
        for number in range(count):
            put(tmp_path / part / "a" / f"{number}.png", GREY)
    assert read(tmp_path).rows == 3
    assert read(tmp_path, ReadOptions(test_rows=True)).rows == 1


def test_a_folder_that_leads_to_itself_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(tmp_path)
    assert refused(tmp_path) == "dataset_not_found"


def test_pictures_of_different_sizes_are_made_alike_only_on_request(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", np.full((3, 4), 9, np.uint8))
    put(tmp_path / "b" / "1.png", np.full((6, 2), 9, np.uint8))
    assert refused(tmp_path) == "pictures_differ"
    table = read(tmp_path, ReadOptions(size=(5, 2)))
    assert (table.shape, set(table.features.ravel().tolist())) == ((2, 5), {9})


def test_a_mapping_keeps_size_and_colours_for_later_pictures(tmp_path: Path) -> None:
    put(tmp_path / "first" / "a" / "1.png", COLOURS)
    put(tmp_path / "first" / "b" / "1.png", COLOURS)
    put(tmp_path / "later" / "b" / "1.png", np.full((8, 8, 3), 7, np.uint8))
    done = converted(read(tmp_path / "first", ReadOptions(size=(2, 2), grey=True)), None)
    done.mapping.save(tmp_path / "m.json")
    kept = load_mapping(tmp_path / "m.json")
    rows = mapped(read(tmp_path / "later", kept.options(ReadOptions())), kept)
    assert (rows.features.tolist(), rows.labels.tolist()) == ([[7] * 4], [1])


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(COLOURS).save(tmp_path / "a" / "1.png", exif=turned)
    table = read(tmp_path)
    assert table.shape == (4, 3, 3)
    assert table.features[0].tolist() == np.rot90(COLOURS, -1).ravel().tolist()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_dataset"),
        (b"no picture", "dataset_damaged"),
        (b"\x89PNG\r\n\x1a\n", "dataset_damaged"),
        (b"P5\n100000 100000\n255\n", "dataset_too_large"),
        (b"P5\n30000 3000\n255\n", "dataset_too_large"),
        (b"P5\n300 300\n255\n" + bytes(90_000), "dataset_too_large"),
        (b"P5\n3 4\n255\n" + bytes(11), "dataset_damaged"),
        (b"P5\n3 4\n65535\n" + bytes(24), "foreign_dataset"),
    ],
)
def test_a_broken_picture_is_refused_by_name(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.pgm").write_bytes(content)
    assert refused(tmp_path) == code


def test_a_stray_file_among_pictures_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", GREY)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    assert refused(tmp_path) == "foreign_dataset"
    (tmp_path / "a" / "notes.txt").rename(tmp_path / "notes.txt")
    assert read(tmp_path).rows == 1


def test_a_picture_cut_off_is_damaged(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8))
    path = tmp_path / "a" / "1.png"
    path.write_bytes(path.read_bytes()[:900])
    assert refused(tmp_path) == "dataset_damaged"


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a" / "1.png", GREY)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ChainError, match=r'-m pip install "engram\[images\]"') as caught:
        read(tmp_path)
    assert caught.value.code == "reader_missing"
