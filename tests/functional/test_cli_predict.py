"""`engram model predict`, `evaluate` and `history`, on a node on which rounds were really played."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import engram
from engram.participant.experiments import plotting
from engram.participant.tables.mapping import DataMapping
from tests.support.played_scene import HIGH, LOW, Scene, actor, row
from tests.support.round_matter import ALICE

pytestmark = pytest.mark.xdist_group("cli_model")


def test_predictions(scene: Scene, tmp_path: Path) -> None:
    shell = scene.shell
    asked = ("model", "predict", "--row", row(LOW), "--row", row(HIGH))
    answer = shell.json(*asked)
    assert [item["class"] for item in answer["predictions"]] == [0, 1]
    assert answer["version"] == 1
    assert sum(block["neurons"] for block in answer["lineage"]) == 1
    unsure = shell.json(*asked, "--version", "0")
    assert {item["probability"] for item in unsure["predictions"]} == {0.5}
    rows = tmp_path / "rows.csv"
    rows.write_text(f"{row(LOW)},0\n{row(HIGH)},1\n{row(LOW)},1\n")
    labelled = shell.json("model", "predict", "--data", str(rows), "--first", "1", "--rows", "2")
    assert [(item["class"], item["label"]) for item in labelled["predictions"]] == [(1, 1), (0, 1)]
    found = shell.json("model", "evaluate", "--data", str(rows), "--version", "1")
    assert (found["model"], found["version"], found["confusion"]) == (scene.model, 1, [[1, 0], [1, 1]])
    assert "66.67 %" in shell.text("model", "evaluate", scene.model[:6], "--data", str(rows))
    plain = shell.json("model", "evaluate", "--data", str(rows), "--version", "1", "--engine", "numpy")
    assert plain == found
    if find_spec("torch") is None:  # `make test-torch` has the other engines
        refused = ("model", "evaluate", "--data", str(rows), "--engine", "torch")
        assert shell.error(*refused) == (65, "engine_missing")
    for item in (*answer["predictions"], *unsure["predictions"]):
        terms = [*item["parts"], *item["rest"].values()]
        assert sum(term["logit"] for term in terms) == max(item["logits"])
        assert sum(term["margin"] for term in terms) == item["margin"]
    lines = shell.text("model", "predict", "--data", str(rows)).splitlines()
    told = shell.run("model", "predict", "--data", str(rows)).stderr
    there = shell.json("model", "predict", "--data", str(rows))["rows"]
    assert f"row 0 is taken of the {there} rows of {rows}" in told
    assert f"--rows {there} takes all" in told
    assert "taken of" not in shell.run("model", "predict", "--data", str(rows), "--rows", str(there)).stderr
    assert (labelled["first"], labelled["rows"]) == (1, there)
    assert lines[0] == "row 0: class 0, which is right"
    assert [line.split()[0] for line in lines[1:3]] == ["0", "1"], "no picture, but a bar for each class"
    assert lines[4].split() == ["whose", "neurons", "logit", "lead", "over", "1"]
    assert lines[5].startswith(f"version 1 by {actor(ALICE)[:12]}… (classes 0-1)")
    assert "together" not in "".join(lines), "one contribution has no sum beside it"
    assert shell.error("model", "predict", "--data", str(rows), "--picture") == (65, "rows_invalid")
    assert shell.error("model", "predict", "--row", "1,2") == (65, "features_invalid")
    assert shell.error(*asked, "--version", "9") == (65, "missing_version")


def test_a_mapping_of_before_a_growth_is_told(scene: Scene, tmp_path: Path) -> None:
    """Seen: after a growth the founder's mapping was used without a word, and the new class was called 3."""
    shell, rows = scene.shell, tmp_path / "rows.csv"
    rows.write_text(f"{row(LOW)},low\n{row(LOW)},low\n")
    inputs = len(row(LOW).split(","))
    short = DataMapping(inputs, ("low",), (0.0,), (255.0,), label="last")
    whole = DataMapping(inputs, ("low", "high"), (0.0,), (255.0,), label="last")
    told = "warning: the model has 2 classes, and {} names 1, so the others are numbers: use the longer"
    pulled = str(tmp_path / "model.npz")
    shell.json("model", "pull", "-o", pulled)
    for name, mapping in (("rows", short), ("whole", whole)):
        path = tmp_path / f"{name}.mapping.json"
        mapping.save(path)
        for words in (
            ("model", "predict", "--data", str(rows), "--mapping", str(path)),
            ("model", "predict", "--row", row(LOW), "--mapping", str(path)),
            ("model", "evaluate", "--data", str(rows), "--mapping", str(path)),
            ("model", "evaluate", "--data", str(rows), "--mapping", str(path), "--versions"),
            ("model", "evaluate", "--data", str(rows), "--mapping", str(path), "--file", pulled),
        ):
            result = shell.run(*words)
            assert result.exit_code == 0, result.output
            assert (told.format(path.name) in result.stderr) is (name == "rows"), words
    beside = shell.run("model", "predict", "--data", str(rows))
    assert told.format("rows.mapping.json") in beside.stderr, "also of a mapping that nobody has named"


def test_predictions_of_many_rows_are_a_table(scene: Scene, tmp_path: Path) -> None:
    shell, rows = scene.shell, tmp_path / "rows.csv"
    rows.write_text(f"{row(LOW)},0\n{row(HIGH)},1\n{row(LOW)},1\n" * 100)
    asked = ("model", "predict", "--data", str(rows), "--rows", "300")
    said = shell.text(*asked).splitlines()
    assert said[0].split() == ["row", "class", "probability", "label", "runner-up", "mostly", "by"]
    assert [line.split()[0] for line in said[1:301]] == [str(number) for number in range(300)]
    assert said[-1] == "version 1; 200 of 300 rows are right"
    answers = shell.json(*asked)["predictions"]
    assert [item["class"] for item in answers] == [0, 1, 0] * 100, "asked for in several batches"


def test_predictions_with_the_names_of_a_mapping(scene: Scene, tmp_path: Path) -> None:
    shell, rows, asked = scene.shell, tmp_path / "named.csv", tmp_path / "asked.csv"
    rows.write_text(f"{row(LOW)},calm\n{row(HIGH)},storm\n")
    mapping = shell.json("data", "convert", str(rows), "--scale", "none", "-o", str(tmp_path / "n.npz"))[
        "mapping"
    ]
    asked.write_text(f"{row(HIGH)}\n{row(LOW)}\n")
    predict = ("model", "predict", "--data", str(asked), "--mapping", mapping, "--rows", "2")
    answers = shell.json(*predict)["predictions"]
    assert [(item["class"], item["name"]) for item in answers] == [(1, "storm"), (0, "calm")]
    assert "label" not in answers[0]
    assert "storm" in shell.text(*predict)


def test_what_a_mapping_fills_and_cuts_is_said(scene: Scene, tmp_path: Path) -> None:
    shell, rows, asked = scene.shell, tmp_path / "known.csv", tmp_path / "asked.csv"
    rows.write_text(f"{row(LOW)},calm\n{row(HIGH)},storm\n,{row(LOW[1:])},calm\n")
    converted = ("data", "convert", str(rows), "--missing", "mean", "-o", str(tmp_path / "k.npz"))
    mapping = shell.json(*converted)["mapping"]
    asked.write_text(f"{row(LOW)}\n,{row(HIGH[1:])}\n900,{row(HIGH[1:])}\n")
    predict = ("model", "predict", "--data", str(asked), "--mapping", mapping, "--rows", "3")
    answer = shell.json(*predict)
    assert (answer["filled"], answer["beyond"]) == (1, 1)
    told = shell.run(*predict).stderr
    assert "1 missing value of these rows was filled by the mapping" in told
    assert "1 value lies beyond what the mapping was made of" in told
    first = shell.run(*predict[:-2])
    assert "by the mapping" not in first.stderr, "nothing was done to the first row"
    assert (shell.json(*predict[:-2])["filled"], shell.json(*predict[:-2])["beyond"]) == (0, 0)


def test_a_row_is_typed_as_the_table_of_the_mapping_holds_it(scene: Scene, tmp_path: Path) -> None:
    """Seen: --row took bytes alone, so a person had to scale by hand what --data scales."""
    shell, rows = scene.shell, tmp_path / "sky.csv"
    titles = [f"c{number}" for number in range(len(LOW))]
    scaled = [[str(value / 255) for value in values] for values in (LOW, HIGH)]
    lines = [",".join([*each, word]) for each, word in zip(scaled, ("calm", "storm"), strict=True)]
    rows.write_text("\n".join([",".join([*titles, "sky"]), *lines]) + "\n")
    kept = shell.json("data", "convert", str(rows), "--scale", "all", "-o", str(tmp_path / "sky.npz"))
    typed = ("model", "predict", "--mapping", kept["mapping"], "--row")
    asked = shell.json(*typed, ",".join(scaled[1]), "--row", ", ".join(scaled[0]))
    assert [(item["class"], item["name"]) for item in asked["predictions"]] == [(1, "storm"), (0, "calm")]
    assert (asked["filled"], asked["beyond"]) == (0, 0)
    by_file = shell.json("model", "predict", "--data", str(rows), "--mapping", kept["mapping"])
    assert asked["predictions"][1]["logits"] == by_file["predictions"][0]["logits"]
    moved = shell.run(*typed, ",".join(["7", *scaled[0][1:]]))
    assert "1 value lies beyond what the mapping was made of" in moved.stderr
    for cell, code, told in (
        ("warm", "value_not_number", "the column 'c2' holds 'warm', which is no number"),
        ("", "values_missing", "the column 'c2' has no value, and the mapping fills none"),
    ):
        wrong = ",".join([*scaled[0][:2], cell, *scaled[0][3:]])
        assert shell.error(*typed, wrong) == (65, code)
        assert told in shell.run(*typed, wrong).stderr
    assert shell.error(*typed, "1,2") == (65, "mapping_mismatch")
    assert (
        f"the row has 2 values, and the mapping {len(LOW)} columns, 'c0'" in shell.run(*typed, "1,2").stderr
    )
    assert shell.error("model", "predict", "--row", row(LOW), "--label", "last") == (64, "usage")


def test_rows_without_labels_are_predicted_once_they_are_converted(scene: Scene, tmp_path: Path) -> None:
    shell, rows, asked = scene.shell, tmp_path / "known.csv", tmp_path / "asked.csv"
    rows.write_text(f"{row(LOW)},calm\n{row(HIGH)},storm\n")
    convert = ("data", "convert", str(rows), "--scale", "none", "-o", str(tmp_path / "known.npz"))
    mapping = shell.json(*convert)["mapping"]
    asked.write_text(f"{row(HIGH)}\n{row(LOW)}\n")
    made = tmp_path / "asked.npz"
    shell.json("data", "convert", str(asked), "--label", "none", "--mapping", mapping, "-o", str(made))
    answers = shell.json("model", "predict", "--data", str(made), "--rows", "2")["predictions"]
    assert [(item["class"], item["name"]) for item in answers] == [(1, "storm"), (0, "calm")]
    assert engram.load_features(made).tolist() == [HIGH, LOW]
    assert engram.load_features(asked, mapping=mapping).tolist() == [HIGH, LOW]


def test_the_mapping_beside_the_data_is_used(scene: Scene, tmp_path: Path) -> None:
    shell, table, rows = scene.shell, tmp_path / "sky.csv", tmp_path / "sky.npz"
    scaled = [",".join(str(value / 255) for value in values) for values in (LOW, HIGH, LOW)]
    words = ["calm", "storm", "storm"]
    table.write_text("".join(f"{line},{word}\n" for line, word in zip(scaled, words, strict=True)))
    kept = tmp_path / "kept.npz"
    shell.json("data", "convert", str(table), "--scale", "all", "-o", str(kept))
    kept.with_suffix(".mapping.json").rename(rows.with_suffix(".mapping.json"))
    kept.rename(rows)
    for data in (table, rows):
        answered = shell.run("model", "predict", "--data", str(data), "--rows", "3", "--json")
        answers = json.loads(answered.stdout)["predictions"]
        assert [(item["class"], item["name"], item["label"]) for item in answers] == [
            (0, "calm", 0),
            (1, "storm", 1),
            (0, "calm", 1),
        ]
        assert "sky.mapping.json, which lies beside the data" in answered.stderr
        found = shell.run("model", "evaluate", "--data", str(data))
        assert found.exit_code == 0
        assert "sky.mapping.json, which lies beside the data" in found.stderr
        assert [line.split()[0] for line in found.stdout.splitlines()[-3:-1]] == ["calm", "storm"]
        made = shell.json("model", "evaluate", "--data", str(data))
        assert (made["class_names"], made["confusion"]) == (["calm", "storm"], [[1, 0], [1, 1]])
    rows.with_suffix(".mapping.json").write_text("{}")
    assert shell.error("model", "evaluate", "--data", str(rows)) == (65, "mapping_invalid")
    assert shell.error("model", "predict", "--data", str(table)) == (65, "mapping_invalid")


def test_pictures_of_a_known_shape_are_drawn(scene: Scene, tmp_path: Path) -> None:
    rows = np.array([LOW, HIGH], dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", x=rows.reshape(2, 2, -1), y=np.array([0, 1]))
    asked = ("model", "predict", "--data", str(tmp_path / "pictures.npz"), "--first", "1")
    drawn = scene.shell.text(*asked, "--picture").splitlines()
    assert drawn[0] == "row 1: class 1, which is right"
    width = len(HIGH) // 2
    assert drawn[1].startswith("▀".ljust(width) + "  0 "), "beside the bars"
    assert drawn[2].startswith(" " * width + "  1 ")
    plain = scene.shell.text(*asked).splitlines()
    assert plain[1].strip().startswith("0"), "so small a picture is drawn only if asked for"


def test_every_version_is_evaluated_on_the_same_rows(scene: Scene, tmp_path: Path) -> None:
    shell, rows, plot = scene.shell, tmp_path / "rows.csv", tmp_path / "retention.svg"
    rows.write_text(f"{row(LOW)},0\n{row(HIGH)},1\n{row(LOW)},1\n{row(LOW)},2\n")
    asked = ("model", "evaluate", "--data", str(rows), "--versions")
    founded, trained = shell.json(*asked, "--plot", str(plot))
    assert (founded["version"], founded["rows"], founded["left_out"]) == (0, 3, 1)
    assert (trained["version"], trained["correct"], trained["accuracy"]) == (1, 2, 2 / 3)
    assert [step["accuracy"] for step in trained["steps"]] == [2 / 3]
    assert plot.read_text(encoding="utf-8").startswith("<?xml")
    lines = shell.text(*asked).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["version", "0", "1"]
    assert lines[3].startswith("up to 1 rows are of classes that a version did not know")
    assert [each["version"] for each in shell.json(*asked, "--version", "0")] == [0]
    assert shell.error(*asked, "--file", "model.npz") == (64, "usage")


def test_the_history_is_the_learning_curve(scene: Scene, tmp_path: Path) -> None:
    shell, plot = scene.shell, tmp_path / "history.svg"
    founded, trained = shell.json("model", "history", "--plot", str(plot))
    assert (founded["sealed_mean_loss"], founded["sealed_accuracy"]) == (None, None)
    assert (trained["classes"], trained["sealed_accuracy"]) == (2, 1.0)
    assert 0 < trained["sealed_mean_loss"] < 1
    drawn = plot.read_bytes()
    assert shell.error("model", "history", "--plot", str(plot)) == (65, "file_exists_already")
    shell.text("model", "history", "--plot", str(plot), "--force")
    assert plot.read_bytes() == drawn, "the same numbers give the same bytes"
    assert shell.error("model", "history", "--plot", str(tmp_path / "history.png")) == (64, "usage")
    assert shell.error("model", "history", "--force") == (64, "usage")
    lines = shell.text("model", "history").splitlines()
    assert "100.00%" in lines[2]
    assert "█" in lines[2]


def test_a_plot_needs_matplotlib(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotting, "find_spec", lambda name: None)
    plot = tmp_path / "history.svg"
    assert scene.shell.error("model", "history", "--plot", str(plot)) == (65, "library_missing")
    assert not plot.exists()
