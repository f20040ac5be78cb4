"""Two processes, TLS between them: a block of more bytes than any message travels from one to the other."""

from pathlib import Path

from engram.node.chain.exchange import export_blocks
from engram.node.datadir import make_data_dir
from tests.support.large_blocks import LARGE, large_chain
from tests.support.node_chain import LATE_MS, memory_store, opened
from tests.support.node_process import NodeCommand, engram, processes


def test_a_node_catches_up_over_sockets(tmp_path: Path) -> None:
    chain, blocks = large_chain(0, 40, 2, 20)
    with opened(memory_store(), LARGE) as source:
        head = source.start.head
        for block in blocks:
            head = source.importer.import_block(block, head, LATE_MS).head
        export_blocks(source.store, head, LARGE, tmp_path / "blocks")
    for name in ("one", "two"):
        make_data_dir(tmp_path / name, LARGE)
    imported = engram("chain", "import", str(tmp_path / "blocks"), "--data-dir", str(tmp_path / "one"))
    assert imported.returncode == 0, imported.stderr
    one = NodeCommand(tmp_path / "one", "--p2p-tls", "always")
    with processes(one):
        two = NodeCommand(tmp_path / "two", "--p2p-tls", "always", "--peer", one.peer_address)
        with processes(two):
            two.wait_head(lambda head: head["id"] == chain.tip.id.hex())
            assert len(two.call("chain_block", height=2)["transactions"]) == 40
            assert two.stop() == 0
        assert one.stop() == 0
