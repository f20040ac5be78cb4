"""Reads folders of pictures: a folder for each class, whose name is the label. Pillow does it, which is an
extra.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.node.extras import install_command
from engram.participant.errors import EmptyDataset, ForeignDataset
from engram.participant.tables.channels import LAST
from engram.participant.tables.errors import DatasetDamaged, DatasetTooLarge, PicturesDiffer, ReaderMissing
from engram.participant.tables.limits import LABEL_LETTERS, ROWS, check_size
from engram.participant.tables.opening import opened
from engram.participant.tables.raw import Channels, LabelColumn, RawTable, ReadOptions, labels_of_texts
from engram.primitives.errors import ChainError

FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
MOST_PIXELS: Final = 2**26
"""Most pixels of one picture."""
_GREY: Final = ("1", "L", "LA", "I", "I;16", "F")
_IGNORED: Final = ("thumbs.db", "desktop.ini")
_TRAINING: Final = ("train", "training")
_TEST: Final = ("test", "testing", "val", "valid", "validation")


def picture_files(folder: Path, *, test: bool) -> dict[str, list[Path]]:
    """The pictures in the folders of a folder, by the names of these; {} if it holds none.

    If there is a folder `train` or `test`, that of the asked rows is looked into. Raises `ForeignDataset`
    for a file among the pictures that is none, `DatasetTooLarge`.
    """
    inner = _folders(folder)
    parts = [path for path in inner if path.name.lower() in (_TEST if test else _TRAINING)]
    if len(parts) == 1 and all(path.name.lower() in (*_TRAINING, *_TEST) for path in inner):
        inner = _folders(parts[0])
    found: dict[str, list[Path]] = {}
    for place in inner:
        files = [path for path in _entries(place) if path.name.lower() not in _IGNORED]
        strange = next((path for path in files if path.suffix.lower() not in ENDINGS), None)
        if files and strange is None:
            found[place.name] = files
        elif strange is not None and len(files) > 1 and any(path.suffix.lower() in ENDINGS for path in files):
            raise ForeignDataset(
                f"{strange} is no picture of a kind that is read: move it away",
                expected=ENDINGS,
                got=strange.name,
            )
    if (count := sum(map(len, found.values()))) > ROWS:
        raise DatasetTooLarge(f"{folder} holds too many pictures", expected=ROWS, got=count)
    return found


def read_images(folder: Path, files: dict[str, list[Path]], options: ReadOptions) -> RawTable:
    """The pictures in a folder, each a row of bytes: grey ones H x W, others H x W x 3, line by line.

    Raises `ReaderMissing` without Pillow, `PicturesDiffer` if they are of different sizes and `options.size`
    does not say which all shall have, `DatasetDamaged`, `DatasetTooLarge`, `ForeignDataset`, and what
    `opened` raises.
    """
    pillow = _pillow()
    everything = [path for paths in files.values() for path in paths]
    if not everything:
        raise EmptyDataset(f"{folder} holds no pictures")
    if long := next((name for name in files if len(name) > LABEL_LETTERS), None):
        raise DatasetTooLarge(f"{folder} has a folder whose name is too long for a label", got=long[:40])
    size, grey = _form(pillow, everything, options)
    width, height = size
    shape = (height, width) if grey else (height, width, 3)
    inputs = width * height * (1 if grey else 3)
    check_size(folder.name, len(everything), inputs, 1)
    features = np.empty((len(everything), inputs), dtype=np.uint8)
    total = sum(path.stat().st_size for path in everything)
    done = 0
    for number, path in enumerate(everything):
        features[number] = _pixels(pillow, path, size, grey=grey, fit=options.size is not None)
        done += path.stat().st_size
        if options.progress is not None:
            options.progress(done, total)
    codes = np.repeat(np.arange(len(files), dtype=np.int32), [len(paths) for paths in files.values()])
    labels = labels_of_texts(list(files), codes)
    column = LabelColumn("folders", "format")
    table = RawTable(folder.name, "images", features, labels, column, shape)
    channels = None if grey else Channels(LAST, "format")
    return replace(table, size=options.size, grey=options.grey, channels=channels)


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _form(pillow: ModuleType, files: list[Path], options: ReadOptions) -> tuple[tuple[int, int], bool]:
    """The width and height that all pictures get, and whether all are grey, from their headers alone."""
    sizes, grey = set(), True
    for path in files:
        with opened(path) as stream, _named(path):
            picture = _open(pillow, path, stream)
            sizes.add(_turned(picture))
            grey &= picture.mode in _GREY
        if options.size is None and len(sizes) > 1:
            first, other = sorted(sizes)
            raise PicturesDiffer(
                f"{path} has another size than the pictures before it: --size makes all of them alike",
                expected=f"{first[0]}x{first[1]}",
                got=f"{other[0]}x{other[1]}",
            )
    return options.size or next(iter(sizes)), grey or options.grey


def _pixels(
    pillow: ModuleType, path: Path, size: tuple[int, int], *, grey: bool, fit: bool
) -> npt.NDArray[np.uint8]:
    from PIL import ImageOps

    with opened(path) as stream, _named(path):
        picture = _open(pillow, path, stream)
        picture.load()
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("I;16", "I", "F"):
            raise ForeignDataset(f"{path} has more than 256 shades: save it with 8 bits for each colour")
        picture = picture.convert("L" if grey else "RGB")
        if fit:
            picture = picture.resize(size, pillow.Resampling.BILINEAR)
        if picture.size != size:
            raise PicturesDiffer(f"{path} has changed while it was read", expected=size, got=picture.size)
        return np.asarray(picture, dtype=np.uint8).reshape(-1)


def _open(pillow: ModuleType, path: Path, stream: Any) -> Any:
    """A picture of which only the header has been read. Raises `DatasetTooLarge` and Pillow's errors."""
    picture = pillow.open(stream, formats=FORMATS)
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise DatasetTooLarge(f"{path} has too many pixels", expected=MOST_PIXELS, got=width * height)
    return picture


def _turned(picture: Any) -> tuple[int, int]:
    """The size of a picture, turned as its camera says."""
    width, height = picture.size
    sideways = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if sideways else (width, height)


class _named:
    """Gives what Pillow raises about a file a name: decoders raise nearly everything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._warnings.__exit__(kind, error, trace)
        if type(error).__name__ == "DecompressionBombError":
            raise DatasetTooLarge(f"{self._path} has too many pixels", expected=MOST_PIXELS) from error
        if isinstance(error, Exception) and not isinstance(error, ChainError):
            raise DatasetDamaged(f"{self._path} is damaged, or no picture: {error}") from error


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ReaderMissing(
            f"pictures are read with Pillow, which is not installed: {install_command('images')}"
        ) from error
    module: ModuleType = Image
    return module
