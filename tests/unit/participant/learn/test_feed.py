"""What is put into a folder is learned once, and what is damaged is kept with the reason."""

from __future__ import annotations

import asyncio
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from engram.node.errors import DiskFull
from engram.participant.datasets import Dataset
from engram.participant.learn.errors import FeedFolderMissing, FeedInvalid
from engram.participant.learn.feed import FolderFeed
from engram.participant.learn.lines import MAX_LINE, LineFeed, parse_line
from engram.participant.learn.memories import Memories
from engram.participant.memory.errors import FeatureCountMismatch, FeaturesNotIntegers
from engram.participant.memory.slow import SlowMemory
from engram.participant.notices import Notice
from engram.primitives.types import Hash
from tests.support.memories import MODEL, opened_memories
from tests.support.proven_model import trust_of

SLOW = SlowMemory(trust_of(), lambda: 0)
ROWS = MODEL.train.take(np.arange(12))


def csv_of(data: Dataset) -> str:
    table = np.column_stack([data.features, data.labels])
    return "".join(",".join(map(str, row)) + "\n" for row in table.tolist())


class Inbox:
    """A folder, what is learned from it, and what is told."""

    def __init__(self, folder: Path, memories: Memories, *, keeps: bool = False) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.said: list[Notice] = []
        self.memories = memories

        async def take(name: Hash, data: Dataset) -> int | None:
            return await asyncio.to_thread(memories.take, name, data)

        self.feed = FolderFeed(folder, take, self.said.append, keeps=keeps)

    def put(self, name: str, content: str) -> None:
        (self.folder / f".{name}").write_text(content)
        os.rename(self.folder / f".{name}", self.folder / name)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


async def test_files_are_learned_once_and_removed(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", SLOW) as memories:
        inbox = Inbox(tmp_path / "inbox", memories)
        inbox.put("one.csv", csv_of(ROWS.take(np.arange(4))))
        np.savez(tmp_path / "two.npz", features=ROWS.features[4:9], labels=ROWS.labels[4:9])
        os.rename(tmp_path / "two.npz", inbox.folder / "two.npz")
        inbox.put("later.csv.part", csv_of(ROWS))
        assert await inbox.feed.look() == 2
        assert inbox.names() == ["later.csv.part"]
        assert memories.facts["arrived"] == 9
        inbox.put("copy.csv", csv_of(ROWS.take(np.arange(4))))
        assert await inbox.feed.look() == 1
        assert (memories.facts["arrived"], inbox.names()) == (9, ["later.csv.part"])
        assert [notice.event for notice in inbox.said] == ["fed", "fed", "fed_again"]


async def test_learned_files_can_be_kept(tmp_path: Path) -> None:
    with opened_memories(tmp_path / "a", SLOW) as memories:
        inbox = Inbox(tmp_path / "inbox", memories, keeps=True)
        for number in range(2):
            inbox.put("one.csv", csv_of(ROWS.take(np.arange(number, 4))))
            await inbox.feed.look()
        assert inbox.names() == ["taken/1-one.csv", "taken/one.csv"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("text.csv", "a,b\n", "empty_dataset"),
        ("nan.csv", "nan,1\n", "values_missing"),
        ("guessed.csv", "a,b,c\n1,5,1\n0,6,0\n", "data_doubtful"),
        ("wide.csv", "1,2,3\n", "feature_count_mismatch"),
        ("empty.csv", "", "empty_dataset"),
        ("large.csv", "300," * 64 + "1\n", "feature_out_of_range"),
        ("label.csv", "1," * 64 + "70000\n", "dataset_label_out_of_range"),
        ("words.txt", "hello", "foreign_dataset"),
        ("broken.npz", "PK", "foreign_dataset"),
    ],
)
async def test_damaged_files_are_kept_with_the_reason(
    tmp_path: Path, name: str, content: str, code: str
) -> None:
    with opened_memories(tmp_path / "a", SLOW) as memories:
        inbox = Inbox(tmp_path / "inbox", memories)
        for _ in range(2):
            inbox.put(name, content)
            await inbox.feed.look()
        assert inbox.names() == sorted(
            f"rejected/{place}{name}{end}" for place in ("", "1-") for end in ("", ".reason")
        )
        assert (inbox.folder / "rejected" / name).read_text() == content
        assert f"[{code}]" in (inbox.folder / "rejected" / f"{name}.reason").read_text()
        assert memories.facts["arrived"] == 0


async def test_a_file_stays_while_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    said: list[Notice] = []

    async def full(name: Hash, data: Dataset) -> int | None:
        raise DiskFull(got="inbox")

    feed = FolderFeed(tmp_path / "inbox", full, said.append)
    (tmp_path / "inbox" / "one.csv").write_text(csv_of(ROWS))
    with pytest.raises(DiskFull):
        await feed.look()
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == ["one.csv"]


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FeedFolderMissing):
        FolderFeed(tmp_path / "none", lambda name, data: asyncio.sleep(0, 0), lambda notice: None)


async def test_a_stream_is_learned_and_damaged_lines_are_kept(tmp_path: Path) -> None:
    lines = [
        json.dumps({"row": row.tolist(), "label": int(label), "name": f"digit {label}"}).encode()
        for row, label in zip(ROWS.features, ROWS.labels, strict=True)
    ]
    damaged = [b"not json", b'{"row": [1], "label": 1}', b'{"label": 3}', b"\xff\xfe"]
    stream = io.BytesIO(b"\n".join([*lines[:5], *damaged, b"", *lines[5:]]))
    said: list[Notice] = []
    with opened_memories(tmp_path / "a", SLOW) as memories:

        async def teach(rows: np.ndarray, labels: np.ndarray, names: dict[int, str]) -> object:
            return await asyncio.to_thread(memories.learn, rows, labels, names)

        rejected = tmp_path / "rejected.jsonl"
        assert await LineFeed(stream, memories.inputs, teach, rejected, said.append).run() == 12
        assert memories.facts["arrived"] == 12
        assert memories.names() == {int(label): f"digit {label}" for label in ROWS.labels}
    kept = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [each["code"] for each in kept] == [
        *("feed_invalid", "feature_count_mismatch", "feed_invalid", "feed_invalid")
    ]
    assert kept[0]["line"] == "not json"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"[" * 100_000, FeedInvalid),
        (b'{"row": [1, 2], "label": true}', FeedInvalid),
        (b'{"row": [1, 2], "label": 1, "more": 1}', FeedInvalid),
        (b'{"row": [1, [2]], "label": 1}', FeatureCountMismatch),
        (b'{"row": [1, NaN], "label": 1}', FeaturesNotIntegers),
        (b'{"row": [1, 256], "label": 1}', FeaturesNotIntegers),
        (b'{"row": ["1", "2"], "label": 1}', FeatureCountMismatch),
        (b"x" * (MAX_LINE + 1), FeedInvalid),
    ],
)
def test_a_bad_line_is_refused(line: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_line(line, 2)
