"""Opening and playing rounds from the command line, against a real node: what is done, what is refused."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engram.node.config import Config
from engram.node.threaded import running_node
from engram.participant.parts import load_secrets
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, dev_spec, served_shell, write_keys

pytestmark = pytest.mark.xdist_group("cli_round")
COIN = 10**8
FOUND = ("round", "open", "--data", "digits", "--take-classes", "0-1", "--rows", "20", "--key", "alice")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait; alice and bob have coins."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture(scope="module")
def opened(shell: Shell) -> Any:
    """A round that founds a model with everything chosen."""
    return shell.json(
        *FOUND,
        *("--parts", "5", "--validation", "1", "--sealed", "3", "--epochs", "3"),
        *("--windows", "open=4,reveal=60,commit=9,gap=2"),
        *("--bond", "12", "--author-bond", "2.5", "--bounty", "3"),
        *("--witness", "bob", "--old-witness", address_of("miner"), "--witness-fee", "0.5"),
        *("--z-squared", "16", "--hidden", "8,4", "--activation", "square"),
        *("--weight-bits", "16", "--loss", "squared_error", "--threshold", "0.35", "--policy", "gated"),
        *("--epsilon", "0.1", "--delta", "2", "--lost-cap", "0.5", "--member", "bob", "--seed", "7"),
    )


def test_a_round_is_opened_as_it_was_asked_for(shell: Shell, opened: Any) -> None:
    terms = opened["terms"]
    asked = {
        "kind": "train",
        "new_classes": 0,
        "rows": 20,
        "validation": 1,
        "sealed": 3,
        "epochs": 3,
        "open_window": 4,
        "commit_window": 9,
        "gap": 2,
        "opener_bond": 12 * COIN,
        "author_bond": 250_000_000,
        "bounty": 3 * COIN,
        "witness_fee": COIN // 2,
        "z_squared": 16,
        "witnesses": [
            {"address": address_of("bob"), "address_name": "bob", "old_only": False},
            {"address": address_of("miner"), "address_name": "miner", "old_only": True},
        ],
    }
    assert {name: terms[name] for name in asked} == asked
    assert len(terms["commitments"]) == 5
    assert (opened["witness_bond"], opened["entry"]) == (3 * COIN, 10**6), "the bounty, and the least"
    assert opened["forgettable_rows"] == 10, "0.1 of 3 sealed parts and 2 of witnesses, 20 rows each"
    model = shell.json("model", "show", opened["model"])
    rules = {
        "policy": "gated",
        "members": [address_of("bob")],
        "lost_cap_ppm": 500_000,
        "loss_kind": "squared_error",
        "threshold_ppm": 350_000,
        "retention_epsilon_ppm": 100_000,
        "retention_delta_ppm": 2_000_000,
        "inputs": 64,
        "classes": 2,
    }
    assert {name: model[name] for name in rules} == rules
    (version,) = shell.json("model", "versions", opened["model"])
    hidden = version["added"]["spec"]["hidden"]
    assert [block["width"] for block in hidden] == [8, 4]
    assert {block["type"] for block in hidden} == {"DenseSquare"}
    assert {block["weight_bits"] for block in hidden} == {16}


def test_the_secrets_are_in_the_data_directory_for_the_owner_alone(shell: Shell, opened: Any) -> None:
    secrets = Path(opened["secrets"])
    assert secrets.parent == shell.data_dir / "rounds"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert secrets.stem == opened["terms"]["nonce_hash"]


def test_what_people_read_of_an_opened_round(shell: Shell) -> None:
    result = shell.run(*FOUND, "--bounty", "1.5", "--epsilon", "0.02")
    lines = result.stdout.splitlines()
    fields = dict(line.split(maxsplit=1) for line in lines if not line.startswith(" ") and " " in line)
    assert fields["kind"].strip() == "TRAIN"
    assert fields["parts"].strip() == "2 of 20 rows; 1 stays sealed, and its 20 rows decide"
    assert fields["bounty"].strip() == "1.5"
    assert fields["secrets"].strip().endswith(".secrets")
    assert "waiting for a block" in result.stderr
    assert "of 20 old rows a growth of this model may lose none" in result.stderr, "of 20 rows, 0.02 is none"
    assert "warning: only 20 of your rows decide." in result.stderr


def test_without_windows_people_have_time(shell: Shell) -> None:
    calendar = shell.json(*FOUND)["calendar"]
    assert calendar["open"][1] == calendar["open"][0], "a minute is less than a block here"
    assert calendar["closed"][1] is None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--rows", "200"), "not_enough_rows"),
        (("--take-classes", "0-1,77"), "not_enough_rows"),
        (("--classes", "1"), "dataset_mismatch"),
        (("--data", "nowhere.csv"), "dataset_not_found"),
        (("--bond", "1"), "bond_too_low"),
        (("--author-bond", "0.5"), "bond_too_low"),
        (("--witness", "alice"), "terms_invalid"),
        (("--witness", "bob", "--old-witness", "bob"), "terms_invalid"),
        (("--witness", "leng1nobody"), "bad_address"),
        (("--standing-witness", "alice"), "terms_invalid"),
        (("--member", "bob", "--member", "bob"), "terms_invalid"),
        (("--witness", "bob", "--witness-fee", "1"), "terms_invalid"),
        (("--z-squared", "3"), "terms_invalid"),
        (("--validation", "3", "--sealed", "2"), "terms_invalid"),
        (("--windows", "5000"), "terms_invalid"),
        (("--threshold", "0"), "terms_invalid"),
        (("--bounty", "100000"), "insufficient_balance"),
        (("--hidden", "70000"), "terms_invalid"),
        (("--verification", "disputed", "--dispute-window", "1"), "terms_invalid"),
    ],
)
def test_a_round_that_cannot_be_is_refused(shell: Shell, words: tuple[str, ...], code: str) -> None:
    assert refusal(shell, *FOUND, *words) == (65, code)


@pytest.mark.parametrize(
    "words",
    [
        ("--windows", "commit"),
        ("--windows", "draw=3"),
        ("--take-classes", "5-0"),
        ("--take-classes", "1,1"),
        ("--share", "3/2"),
        ("--share", "half"),
        ("--hidden", "0"),
        ("--threshold", "1.5"),
        ("--epsilon", "0.0000001"),
        ("--loss", "hinge"),
        ("--bond", "-1"),
        ("--new-classes", "2"),
        ("--epochs", "33"),
        ("--old-rows", "2"),
        ("--neurons", "2"),
        ("--verification", "nobody"),
        ("--verification", "disputed", "--audit-chunks", "65"),
        ("--dispute-window", "20"),
        ("--audit-chunks", "2"),
    ],
)
def test_what_is_no_value_is_wrong_usage(shell: Shell, words: tuple[str, ...]) -> None:
    assert refusal(shell, *FOUND, *words) == (64, "usage")


def test_a_model_with_an_open_round_takes_no_other(shell: Shell, opened: Any) -> None:
    words = ("round", "open", opened["model"], "--data", "digits", "--take-classes", "0-1", "--key", "alice")
    assert shell.error(*words) == (65, "round_already_open")
    assert refusal(shell, *words, "--policy", "gated") == (64, "usage")


def test_a_round_is_not_opened_on_foreign_data(shell: Shell, opened: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("1,2,0\n3,4,1\n" * 50)
    words = ("round", "open", opened["model"], "--data", str(rows), "--key", "alice")
    assert shell.error(*words) == (65, "data_doubtful"), "two rows, fifty times each"
    assert shell.error(*words, "--yes") == (65, "dataset_mismatch")


def test_a_model_is_not_founded_on_doubtful_rows_unless_they_are_meant(shell: Shell, tmp_path: Path) -> None:
    """Seen: a file of one class founded a model that is frozen at birth, and nobody was asked."""
    rows = tmp_path / "rows.csv"
    rows.write_text("".join(f"{number},{number * 7 % 256},0\n" for number in range(5, 155)))
    one_class = ("round", "open", "--data", str(rows), "--label", "last", "--rows", "20", "--key", "alice")
    assert json.loads(shell.run(*one_class, "--json").stdout)["error"]["got"] == ["single_class"]
    rows.write_text("".join(f"{number},{number * 7 % 256},{number % 2 * 2}\n" for number in range(5, 155)))
    words = ("round", "open", "--data", str(rows), "--label", "last", "--rows", "20", "--key", "alice")
    before = shell.json("model", "list")
    error = json.loads(shell.run(*words, "--json").stdout)["error"]
    assert error["code"] == "data_doubtful"
    assert error["got"] == ["class_gaps"]
    assert "--yes" in error["message"]
    assert shell.json("model", "list") == before
    more = ("round", "open", "--data", "digits", "--take-classes", "0-1", "--classes", "4", "--key", "alice")
    told = json.loads(shell.run(*more, "--json").stdout)["error"]
    assert told["got"] == ["class_gaps"], "classes above the highest label have no rows either"
    assert "no row has the classes 2, 3," in told["message"]
    opened = shell.json(*words, "--yes", "--windows", "30", "--hidden", "none")
    assert opened["model"] in [model["id"] for model in shell.json("model", "list")]


def test_a_part_is_not_sealed_or_published_on_a_guess(shell: Shell, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    lines = [f"{number % 2},{number},{number * 7 % 256},{number % 2}\n" for number in range(5, 155)]
    rows.write_text("".join(lines))
    assert refusal(shell, "model", "publish-part", str(rows), "--key", "alice") == (65, "data_doubtful")
    seal = ("round", "seal", "--data", str(rows), "--key", "bob")
    assert refusal(shell, *seal) == (65, "data_doubtful")


def test_each_side_needs_its_own_secrets(shell: Shell) -> None:
    opened = shell.json(*FOUND, "--windows", "30")
    identity = opened["round"]
    assert refusal(shell, "round", "unseal", identity, "--key", "bob") == (65, "secrets_not_found")
    seal = ("round", "seal", identity, "--data", "digits", "--take-classes", "0-1")
    assert refusal(shell, *seal, "--key", "alice") == (65, "not_a_witness")
    moved = Path(opened["secrets"]).rename(shell.data_dir / "elsewhere")
    assert refusal(shell, "round", "run", identity, "--key", "alice") == (65, "secrets_not_found")
    assert refusal(shell, "round", "reveal", identity, "--key", "alice") == (65, "secrets_not_found")
    moved.rename(opened["secrets"])


def test_of_several_open_rounds_the_one_that_concerns_the_key_is_meant(shell: Shell, opened: Any) -> None:
    bobs = shell.json(*FOUND[:-1], "bob", "--witness", "alice", "--windows", "30")
    assert refusal(shell, "round", "show") == (65, "id_ambiguous")
    Path(bobs["secrets"]).unlink()
    assert refusal(shell, "round", "run", "--key", "bob") == (65, "secrets_not_found")
    assert refusal(shell, "round", "unseal", "--key", "alice") == (65, "secrets_not_found")
    assert refusal(shell, "round", "run", "--key", "miner") == (75, "no_open_round"), (
        "others' rounds are none of the miner's"
    )
    author = ("participate", "--data", "digits", "--take-classes", "0-1", "--key", "miner")
    assert refusal(shell, *author) == (65, "id_ambiguous"), "it would not be clear for which to pay"


def test_the_opener_of_a_round_that_was_aborted_is_told_so(shell: Shell, opened: Any) -> None:
    founded = shell.run(*FOUND, "--windows", "2")
    identity = max(shell.json("round", "list"), key=lambda item: int(item["opened"]))["id"]
    assert f"note: your round {opened['round'][:12]} of model {opened['model'][:12]} runs" in founded.stderr
    shell.text("miner", "mine", "12")
    dead = shell.json("round", "show", identity)
    assert (dead["status"], dead["due"]) == ("open", "unrevealed")
    shown = shell.text("round", "show", identity)
    assert (
        "the round is to abort, the opener has not revealed the validation parts; `engram round advance`"
        in shown
    )
    assert refusal(shell, "round", "run", identity, "--key", "alice") == (65, "round_aborted")
    assert shell.json("round", "show", identity)["status"] == "aborted"
    again = shell.run("round", "run", identity, "--key", "alice")
    assert (again.exit_code, again.stdout) == (65, "")
    assert "the round is aborted: 0 of 1 validation parts were revealed" in again.stderr
    assert "0 of 1 validation parts" in shell.text("round", "show", identity)
    assert refusal(shell, "round", "score", identity, "--key", "bob") == (65, "round_over")
    withdrawn = shell.text("round", "withdraw", identity, "--author", "bob", "--key", "alice", "--json")
    assert json.loads(withdrawn.splitlines()[-1])["bonds_returned"] == 0, "bob has not taken part"
    assert shell.json("round", "show", identity, "--why") == []


def test_a_part_is_sealed_and_saved(shell: Shell) -> None:
    identity = shell.json(*FOUND, "--witness", "bob", "--windows", "30")["round"]
    seal = ("round", "seal", identity, "--data", "digits", "--take-classes", "0-1", "--key", "bob")
    lines = shell.text(*seal, "--json").splitlines()
    (sealed,) = shell.json("round", "show", identity)["witnesses"]
    assert sealed["author"] == address_of("bob")
    assert f'"commitment": "{sealed["commitment"]}"' in lines[-1]
    assert f'"bond": {sealed["bond"]}' in lines[-1]
    assert (shell.data_dir / "rounds" / f"{sealed['commitment']}.sealed").is_file()
    assert "has sealed a part, bond 1" in shell.text("round", "show", identity)
    assert refusal(shell, *seal) == (65, "already_sealed")
    foreign = ("round", "seal", identity, "--data", "digits", "--key", "bob")
    assert shell.error(*foreign) == (65, "dataset_mismatch"), "its labels are not all classes of the round"


def test_a_witness_takes_rows_that_nobody_can_guess(shell: Shell) -> None:
    contents = []
    for seed in ((), (), ("--seed", "3"), ("--seed", "3")):
        identity = shell.json(*FOUND, "--witness", "bob", "--windows", "30")["round"]
        seal = ("round", "seal", identity, "--data", "digits", "--take-classes", "0-1", "--key", "bob")
        sealed = json.loads(shell.text(*seal, *seed, "--json").splitlines()[-1])
        contents.append(load_secrets(Path(sealed["secrets"])).parts[0].content)
    assert contents[0] != contents[1], "without --seed, each round gets other rows"
    assert contents[2] == contents[3]
    assert "the same number in a later round" in " ".join(shell.text("round", "seal", "--help").split())


def test_what_an_author_cannot_play_is_refused_before_anything_is_sent(
    shell: Shell, opened: Any, tmp_path: Path
) -> None:
    nonce = shell.json("account", "show", "bob")["next_nonce"]
    play = ("participate", opened["round"], "--key", "bob")
    assert refusal(shell, *play, "--data", "digits", "--max-bond", "2") == (65, "bond_above_limit")
    rows = tmp_path / "rows.csv"
    rows.write_text("1,2,0\n")
    assert refusal(shell, *play, "--data", str(rows)) == (65, "dataset_mismatch")
    assert refusal(shell, *play, "--adopt", str(tmp_path / "no.npz")) == (65, "model_file_invalid")
    assert refusal(shell, *play, "--adopt", "zz") == (65, "id_not_found")
    assert refusal(shell, *play, "--adopt", "x.npz", "--steps", "3") == (64, "usage")
    assert refusal(shell, *play) == (64, "usage")
    assert refusal(shell, *play, "--data", "digits", "--adopt", "x.npz") == (64, "usage")
    assert refusal(shell, *play, "--data", "digits", "--follow") == (64, "usage")
    assert shell.json("account", "show", "bob")["next_nonce"] == nonce


def test_no_round_is_opened_that_could_not_wait_for_its_programs(shell: Shell) -> None:
    before = shell.json("account", "show", "alice")["next_nonce"]
    assert refusal(shell, *FOUND, "--wait-for", "2") == (75, "hold_refused")
    assert shell.json("account", "show", "alice")["next_nonce"] == before


def test_a_chain_without_rounds_has_none_to_play(tmp_path: Path) -> None:
    write_keys(tmp_path)
    with running_node(Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), dev_spec()):
        other = Shell(tmp_path, {"ENGRAM_PASSPHRASE": PASSPHRASE})
        assert other.error("participate", "--data", "digits", "--key", "bob") == (75, "no_open_round")
        missing = ("participate", "--data", "digits", "--model", "3fa2", "--key", "bob")
        assert other.error(*missing) == (65, "id_not_found")


def test_a_round_that_is_dead_is_not_the_one_that_is_meant(tmp_path: Path) -> None:
    with served_shell(tmp_path) as shell:
        dead = shell.json(*FOUND, "--windows", "2")["round"]
        shell.text("miner", "mine", "12")
        author = ("--data", "digits", "--take-classes", "0-1", "--key", "bob")
        before = shell.json("account", "show", "bob")
        assert refusal(shell, "participate", *author) == (75, "no_open_round")
        assert shell.json("account", "show", "bob") == before, (
            "nobody pays to settle what they did not ask for"
        )
        assert shell.json("round", "show")["id"] == dead, "it is shown while there is no other"
        alive = shell.json(*FOUND, "--windows", "30")["round"]
        assert shell.json("round", "show")["id"] == alive
        assert refusal(shell, "participate", dead, *author) == (75, "round_missed")
        assert shell.json("round", "show", dead)["status"] == "aborted"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("round", "run"), "round"),
        (("round", "unseal"), "round"),
        (("round", "score"), "round"),
        (("round", "withdraw"), "round"),
        (("participate",), "round"),
        (("round", "open"), "model"),
        (("participate", "--model"), "model"),
        (("model", "show"), "model"),
    ],
)
def test_the_shell_completes_ids_from_the_node(
    shell: Shell, opened: Any, words: tuple[str, ...], wanted: str
) -> None:
    beginning = opened[wanted][:6]
    assert completed(shell, *words, beginning) == [opened[wanted][:12]]


def test_the_shell_completes_keys_and_nothing_where_no_node_answers(shell: Shell, tmp_path: Path) -> None:
    assert completed(shell, "round", "open", "--key", "a") == ["alice"]
    assert completed(shell, "round", "open", "--witness", "b") == ["bob"]
    assert completed(shell, "participate", "--data", "di") == ["digits", "di"], "the shell adds files"
    away = Shell(tmp_path, {"ENGRAM_RPC": "http://127.0.0.1:1"})
    assert completed(away, "round", "run", "3") == []


def refusal(shell: Shell, *words: str) -> tuple[int, str]:
    """Status and code of a command that fails."""
    result = shell.run(*words, "--json")
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])["error"]["code"]


def completed(shell: Shell, *words: str) -> list[str]:
    """What bash completes the last word to. A user's patience ends after two seconds, a test's does not."""
    program = (
        "from engram.cli import main; from engram.commands.support import completion; "
        "completion._PATIENCE_S = 600.0; main(prog_name='engram')"
    )
    settings = {name: value for name, value in shell.environment.items() if value is not None}
    line = {"COMP_WORDS": " ".join(("engram", *words)), "COMP_CWORD": str(len(words))}
    asked = {"_ENGRAM_COMPLETE": "bash_complete", "ENGRAM_DATA_DIR": str(shell.data_dir), **line}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **settings, **asked},
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return [item.partition(",")[2] for item in printed.split()]
