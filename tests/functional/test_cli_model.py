"""Commands on models and rounds, against a real node on which rounds were really played."""

import json
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from engram.nn.network import forward
from engram.node.datadir import read_spec, write_spec
from engram.participant.datasets import load
from engram.participant.export import load_version
from tests.support.cli import Shell
from tests.support.played_scene import HIGH, LOW, Scene, actor, row
from tests.support.round_matter import ALICE, OPENER
from tests.support.rpc_round import PARTS

pytestmark = pytest.mark.xdist_group("cli_model")
NO_SUCH = "ee" * 32


def test_models_are_listed_and_named_by_their_beginning(scene: Scene) -> None:
    shell, model = scene.shell, scene.model
    (listed,) = shell.json("model", "list")
    assert (listed["id"], listed["head"], listed["frozen"]) == (model, 1, True)
    for name in ((), (model[:4],), (model,)):
        assert shell.json("model", "show", *name) == listed
    assert shell.error("model", "show", "zz") == (65, "id_not_found")
    assert shell.error("model", "show", NO_SUCH) == (65, "missing_model")
    assert model[:12] in shell.text("model", "list")
    shown = shell.text("model", "show")
    assert "softmax_cross_entropy" in shown
    assert "strict" in shown


def test_versions_tell_where_they_come_from(scene: Scene) -> None:
    founded, trained = scene.shell.json("model", "versions")
    assert (founded["number"], trained["number"]) == (0, 1)
    assert trained["parent"] == founded["root"]
    assert trained["author"] == actor(ALICE)
    assert trained["round"] == scene.rounds.trained.hex()
    table = scene.shell.text("model", "versions").splitlines()
    assert table[1].split()[4:7] == ["-", "-", "-"], "nothing was scored at founding"
    assert [trained["validation_rows"], trained["sealed_rows"]] == [8, 8]
    assert table[2].split()[5:10:2] == ["(8)", "(8)", "%"], "each loss has the number of its rows"
    assert table[2].split()[8] == "100.00"


def test_what_the_ledger_knows(scene: Scene) -> None:
    shell = scene.shell
    (retained,) = shell.json("model", "show")["retention"]
    scores = {(entry["version"], entry["part"]): entry for entry in shell.json("model", "scores")}
    assert (scores[0, retained["part"]]["correct"], retained["rows"]) == (4, 8), "version 0 knew nothing"
    assert {version for version, _ in scores} == {0, 1}, "each opened part was scored by the version it tries"
    assert {badge["address"] for badge in shell.json("model", "badges")} == {actor(ALICE), actor(OPENER)}
    assert {"founder", "best_loss", "participation"} <= set(shell.text("model", "badges").split())
    (reputed,) = shell.json("model", "reputation")
    assert reputed["address"] == actor(ALICE)
    assert str(reputed["points"]) in shell.text("model", "reputation")
    assert {"50.00", "66.67"} <= set(shell.text("model", "scores").split())


@pytest.fixture
def proof(scene: Scene, tmp_path: Path) -> Path:
    path = tmp_path / "model.proof"
    scene.shell.text("model", "prove", "-o", str(path))
    return path


def trusted(scene: Scene, proof: Path) -> str:
    """The id of the last block in a proof, which the node has checked."""
    raw = scene.shell.run("verify", str(proof), "--json").stdout
    height = json.loads(raw)["head"]["height"]
    return str(scene.shell.json("chain", "header", str(height))["id"])


@pytest.fixture
def nobody(scene: Scene, tmp_path: Path) -> Shell:
    """A user without a node, who has the chain's spec in a data directory."""
    directory = tmp_path / "nobody"
    write_spec(directory, read_spec(scene.shell.data_dir))
    return Shell(directory, {"ENGRAM_RPC": "http://127.0.0.1:1"})


def test_a_proof_is_accepted_offline_with_an_anchor(scene: Scene, nobody: Shell, tmp_path: Path) -> None:
    proof = tmp_path / "model.proof"
    written = scene.shell.json("model", "prove", "-o", str(proof))
    assert (written["file"], written["size_bytes"]) == (str(proof), proof.stat().st_size)
    proven = nobody.json("verify", str(proof), "--checkpoint", written["block"])
    assert (proven["verdict"], proven["accepted"], proven["vouched"]) == ("accepted", True, True)
    assert (proven["model"], proven["version"], proven["author"]) == (scene.model, 1, actor(ALICE))
    assert (proven["founder"], proven["opener"]) == (actor(OPENER), actor(OPENER))
    assert proven["lineage"] == [{"version": 1, "author": actor(ALICE), "neurons": 1}]
    assert (proven["block"]["id"], proven["block"]["height"]) == (written["block"], written["height"])
    assert proven["confirmations"] == written["confirmations"] > 0
    head = scene.shell.json("chain", "header", str(proven["head"]["height"]))
    assert (head["id"], head["work"]) == (proven["head"]["id"], proven["chain_work"])
    work = ("verify", str(proof), "--min-work")
    little = nobody.run(*work, str(proven["work"]))
    assert little.exit_code == 1
    assert little.stdout.startswith("consistent, not anchored\n")
    assert f"You asked for {proven['work']:,}. So little work is no anchor" in little.stdout
    assert nobody.error(*work, str(proven["work"] + 1)) == (65, "insufficient_work")
    assert nobody.error("verify", str(proof), "--checkpoint", NO_SUCH) == (65, "checkpoint_missing")
    said = nobody.text("verify", str(proof), "--checkpoint", written["block"])
    assert said.startswith("accepted\n")
    assert f"which {actor(OPENER)} founded" in said
    assert "no witness opened a part, so all rows that decided were the opener's" in said
    assert "  version              1, the current one at that block, all weights trained\n" in said
    assert re.search(
        r"\n  on the opener's side +8 rows, mean loss 0\.\d{4} nats, the baseline's 0\.6931\n", said
    )
    assert "tables of integers (tensors), each known by the hash of its bytes\n" in said
    assert said.index("What this proves:") < said.index("What this does not prove:")


def test_without_an_anchor_the_status_is_1(nobody: Shell, proof: Path) -> None:
    plain, coded = nobody.run("verify", str(proof)), nobody.run("verify", str(proof), "--json")
    assert (plain.exit_code, coded.exit_code) == (1, 1)
    assert plain.stdout.startswith("consistent, not anchored\n")
    assert "on one core" not in plain.stdout, "the text depends on the file, and on no machine"
    proven = json.loads(coded.stdout)
    assert (proven["verdict"], proven["accepted"]) == ("consistent, not anchored", False)
    genesis = nobody.run("verify", str(proof), "--checkpoint", proven["genesis"])
    assert genesis.exit_code == 1
    assert "comes before that block" in genesis.stdout


def test_a_proof_for_a_checkpoint(scene: Scene, nobody: Shell, proof: Path) -> None:
    whole = scene.shell.json("model", "prove", "--force", "-o", str(proof))
    newest = scene.shell.json("chain", "head")["id"]
    since = ("model", "prove", "--force", "-o", str(proof), "--checkpoint")
    written = scene.shell.json(*since, newest)
    assert (written["block"], written["confirmations"]) == (newest, 0)
    assert written["size_bytes"] < whole["size_bytes"]
    assert nobody.json("verify", str(proof), "--checkpoint", newest)["accepted"]
    assert nobody.error("verify", str(proof)) == (65, "checkpoint_needed")
    versions = scene.shell.json("model", "versions")
    before = scene.shell.json("chain", "header", str(versions[1]["height"] - 1))["id"]
    assert scene.shell.json(*since, before)["confirmations"] > 0
    younger = nobody.run("verify", str(proof), "--checkpoint", before, "--json")
    assert (younger.exit_code, json.loads(younger.stdout)["vouched"]) == (1, False)
    both = nobody.run("verify", str(proof), "--checkpoint", before, "--min-work", "1")
    assert both.exit_code == 1, "nor do a block before it and a little work together"
    assert "do not copy its id from here" in both.stdout


def test_the_verifier_brings_the_chain(scene: Scene, nobody: Shell, proof: Path, tmp_path: Path) -> None:
    stranger = Shell(tmp_path / "stranger", {"ENGRAM_RPC": "http://127.0.0.1:1"})
    verify = ("verify", str(proof), "--checkpoint", trusted(scene, proof))
    assert stranger.error(*verify) == (65, "spec_not_given")
    assert nobody.error(*verify, "--chain", "main") == (65, "wrong_spec")
    assert nobody.error(*verify, "--chain", "nowhere.json") == (64, "usage")
    assert nobody.error(*verify, "--chain", str(proof))[0] != 0
    spec = tmp_path / "spec.json"
    spec.write_text(scene.shell.text("chain", "spec"))
    assert stranger.json(*verify, "--chain", str(spec))["accepted"]


def test_a_proof_with_one_byte_changed(nobody: Shell, proof: Path) -> None:
    raw = bytearray(proof.read_bytes())
    raw[len(raw) // 2] ^= 1
    proof.write_bytes(raw)
    assert nobody.error("verify", str(proof)) == (65, "proof_damaged")


def test_pulled_weights_answer_without_a_node(
    scene: Scene, nobody: Shell, proof: Path, tmp_path: Path
) -> None:
    model, rows = tmp_path / "v1.npz", tmp_path / "rows.csv"
    scene.shell.text("model", "pull", "-o", str(model))
    rows.write_text(f"{row(LOW)},0\n{row(HIGH)},1\n")
    verify = ("verify", str(proof), "--checkpoint", trusted(scene, proof))
    asked = (*verify, "--model", str(model), "--predict", str(rows), "--rows", "2")
    proven = nobody.json(*asked)
    answers = scene.shell.json("model", "predict", "--data", str(rows), "--rows", "2")["predictions"]
    assert proven["weights_checked"]
    assert proven["predictions"] == [
        {name: each[name] for name in proven["predictions"][0]} for each in answers
    ]
    said = nobody.text(*asked)
    assert "The file v1.npz holds exactly the weights and biases of this version." in said
    assert [line.split()[0] for line in said.partition("probability")[2].splitlines()[1:3]] == ["0", "1"]
    assert nobody.error(*verify, "--predict", str(rows)) == (64, "usage")
    assert nobody.error(*verify, "--rows", "2") == (64, "usage")
    rows.write_text("1,2,0\n")
    assert nobody.error(*verify, "--model", str(model), "--predict", str(rows)) == (65, "features_invalid")
    with np.load(model) as archive:
        arrays = dict(archive)
    arrays["output_0_bias"] = arrays["output_0_bias"] + np.int32(1)
    np.savez(model, **arrays)
    assert nobody.error(*verify, "--model", str(model)) == (65, "weights_mismatch")
    model.write_bytes(b"no archive")
    assert nobody.error(*verify, "--model", str(model)) == (65, "model_file_invalid")
    scene.shell.text("model", "pull", "--version", "0", "--force", "-o", str(model))
    refused = nobody.error(*verify, "--model", str(model))
    assert refused in ((65, "weights_mismatch"), (65, "model_file_invalid")), "another version"


def test_a_statement_about_an_exported_file(scene: Scene, nobody: Shell, proof: Path, tmp_path: Path) -> None:
    model, statement = tmp_path / "v1.npz", tmp_path / "v1.npz.intoto.json"
    scene.shell.text("model", "pull", "-o", str(model))
    attest = ("model", "attest", str(model), "--proof", str(proof))
    assert nobody.error(*attest) == (65, "not_anchored")
    assert nobody.error(*attest, "--min-work", "1") == (65, "not_anchored")
    assert not statement.exists()
    anchor = ("--checkpoint", trusted(scene, proof))
    anchored = (*attest, *anchor)
    assert nobody.json(*anchored)["statement"] == str(statement)
    written = json.loads(statement.read_text())
    digest = sha256(model.read_bytes()).hexdigest()
    assert written["_type"] == "https://in-toto.io/Statement/v1"
    assert written["subject"] == [{"name": "v1.npz", "digest": {"sha256": digest}}]
    assert written["predicateType"] == "urn:engram:model-proof:v1"
    predicate, proven = written["predicate"], nobody.json("verify", str(proof), *anchor)
    for name in ("model", "founder", "version", "root", "lineage", "block", "sealed_loss", "author_rows"):
        assert predicate[name] == proven[name]
    assert predicate["proof"]["digest"]["sha256"] == sha256(proof.read_bytes()).hexdigest()
    assert predicate["anchor"]
    assert predicate["proves"]
    assert predicate["file_claims"] == []
    assert predicate["does_not_prove"]
    assert nobody.error(*anchored) == (65, "file_exists_already")
    assert nobody.error(*attest) == (65, "not_anchored"), "said before what stands in the way of a good one"
    model.write_bytes(model.read_bytes()[:-1])
    assert nobody.error(*anchored, "--force") == (65, "model_file_invalid")


def test_a_pulled_version_is_the_network_that_the_chain_runs(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "v1.npz"
    pulled = scene.shell.json("model", "pull", "-o", str(path))
    assert pulled["root"] == scene.shell.json("model", "show")["root"]
    spec, parameters = load_version(path)
    logits = forward(spec, parameters, np.array([LOW, HIGH], dtype=np.uint8))
    answer = scene.shell.json("model", "predict", "--row", row(LOW), "--row", row(HIGH))
    assert logits.tolist() == [item["logits"] for item in answer["predictions"]]
    assert json.loads((tmp_path / "v1.json").read_text())["version"]["author"] == ALICE.address.hex()
    scene.shell.text("model", "pull", "--version", "0", "--force", "-o", str(path))
    assert json.loads((tmp_path / "v1.json").read_text())["version"]["number"] == 0
    missing = scene.shell.error("model", "pull", "--version", "7", "-o", str(tmp_path / "x.npz"))
    assert missing == (65, "record_missing")
    assert not (tmp_path / "x.npz").exists()


def test_rounds_are_listed_and_shown(scene: Scene) -> None:
    shell, trained, growing = scene.shell, scene.rounds.trained.hex(), scene.rounds.growing.hex()
    assert [item["id"] for item in shell.json("round", "list")] == [trained, growing]
    assert shell.json("round", "list", "--model", scene.model[:6]) == shell.json("round", "list")
    assert shell.json("round", "show")["id"] == growing, "the open round is meant"
    assert shell.json("round", "show", trained[:8])["status"] == "decided"
    assert shell.error("round", "show", "zz" * 32) == (65, "id_not_found")
    assert shell.error("round", "show", NO_SUCH) == (65, "missing_round")
    shown = shell.text("round", "show").splitlines()
    fields = dict(line.split(maxsplit=1) for line in shown if len(line.split()) > 1)
    assert (fields["kind"].split()[0], fields["status"], fields["bounty"]) == (
        "GROW",
        "open",
        "20, of it 1 to each witness",
    )
    listed = shell.text("round", "list")
    assert "decided" in listed
    assert "TRAIN" in listed


def test_what_stands_in_a_round(scene: Scene) -> None:
    shell, trained = scene.shell, scene.rounds.trained.hex()
    (candidate,) = shell.json("round", "candidates")
    assert (candidate["author"], candidate["epoch"]) == (actor(ALICE), 0)
    assert actor(ALICE) in shell.text("round", "candidates")
    assert shell.json("round", "candidates", trained) == []
    assert shell.text("round", "candidates", trained) == "no candidates yet\n"
    assert shell.json("round", "commits") == []
    assert [part["use"] for part in shell.json("round", "parts", trained)] == ["validation", "unseen"]
    assert len(shell.json("round", "parts")) == 1


def test_an_account_knows_its_updates_that_hold_a_bond(scene: Scene) -> None:
    author = actor(ALICE)
    (update,) = scene.shell.json("account", "updates", author)
    facts = ("round", "epoch", "kind", "can_withdraw", "paid", "reasons")
    assert [update[fact] for fact in facts] == [
        *(scene.rounds.growing.hex(), 0, "candidate", False, 0),
        ["not_scored"],
    ]
    shown = scene.shell.json("account", "show", author)
    assert [held["bond"] for held in shown["updates"]] == [update["bond"]]
    assert "withdrawable  0" in scene.shell.text("account", "show", author)
    assert scene.shell.json("account", "updates", actor(OPENER)) == []


def test_the_data_of_a_round_train_another_network(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "round.npz"
    saved = scene.shell.json("round", "data", scene.rounds.trained.hex()[:10], "-o", str(path))
    opened = [part["commitment"] for part in scene.shell.json("round", "parts", scene.rounds.trained.hex())]
    assert (saved["parts"], saved["rows"]) == (opened, 16)
    data = load(str(path))
    assert (data.rows, data.inputs) == (16, 2 + PARTS)
    with np.load(path) as archive:
        assert archive["part"].tolist() == [0] * 8 + [1] * 8
        assert [bytes(row).hex() for row in archive["commitments"]] == opened


def test_a_test_set_is_published_and_scored(scene: Scene, tmp_path: Path) -> None:
    shell, rows = scene.shell, tmp_path / "test.csv"
    rows.write_text(f"{row(LOW)},0\n{row(HIGH)},1\n{row(LOW)},1\n")
    publish = ("model", "publish-part", str(rows), "--yes", "--key", "alice")
    published = shell.json(*publish)
    (event,) = published["receipt"]["events"]
    assert event["values"] == [3, 2 + PARTS, 2]
    score = ("model", "score", "--part", event["subject"], "--key", "alice")
    assert "version_scored" in shell.text(*score)
    entries = [entry for entry in shell.json("model", "scores") if entry["part"] == event["subject"]]
    assert [(entry["version"], entry["correct"], entry["rows"]) for entry in entries] == [(1, 2, 3)]
    assert shell.error(*score) == (65, "score_known")
    assert shell.error("model", "score", "--part", NO_SUCH, "--key", "alice") == (65, "missing_part")
    failed = shell.error(*publish, "--classes", "1")
    assert failed == (65, "label_out_of_range"), "FAILED in its block: the receipt's code"


def test_a_prediction_is_recorded(scene: Scene) -> None:
    words = ("model", "infer", "--row", row(HIGH), "--key", "bob")
    recorded = scene.shell.json(*words)
    (event,) = recorded["receipt"]["events"]
    (answer,) = scene.shell.json("model", "predict", "--row", row(HIGH))["predictions"]
    assert event["values"] == [1, 0, 1, *answer["logits"]]
    chance = (
        f"row 0 class 1 (1: {answer['probability']:.3f}, 0: {1 - answer['probability']:.3f}) by version 1"
    )
    assert chance in scene.shell.text(*words)
    short = ("model", "infer", "--row", "1", "--row", "1,2", "--key", "bob")
    assert scene.shell.error(*short) == (65, "feature_out_of_range")
    assert scene.shell.error("model", "infer", "--row", "1", "--key", "bob") == (65, "shape_mismatch")


def test_nothing_is_due_in_a_finished_round(scene: Scene) -> None:
    words = ("round", "advance", scene.rounds.trained.hex(), "--key", "bob")
    assert scene.shell.error(*words)[0] == 65
