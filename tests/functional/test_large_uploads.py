"""Where blocks are large, an upload fills half of each: it takes as many blocks fewer as they are larger."""

import asyncio
from pathlib import Path

from engram.node.client import RpcClient
from engram.participant.upload import upload, upload_window
from engram.participant.wallet import Wallet
from engram.statemachine.content import blob_id
from tests.support.large_blocks import LARGE
from tests.support.node_chain import ALICE
from tests.support.node_network import node_network
from tests.support.until import until


async def test_an_upload_of_seventeen_mebibytes_takes_two_blocks(tmp_path: Path) -> None:
    window = upload_window(LARGE.rules)
    assert window == 63
    raw = b"".join(number.to_bytes(4, "big") * (LARGE.rules.chunk_bytes // 4) for number in range(window + 7))
    async with node_network(tmp_path, LARGE) as network:
        member = await network.start("one")
        async with RpcClient(member.url, member.token) as client:
            uploading = asyncio.create_task(upload(Wallet(client, ALICE), raw))
            for waiting in (window, 7):
                await until(lambda waiting=waiting: len(member.services.mempool.ids()) == waiting)  # type: ignore[misc]
                assert not uploading.done()
                await member.mine()
            assert await uploading == blob_id(raw)
        blocks = [member.chain.store.get_block(member.chain.head)]
        blocks.append(member.chain.store.get_block(member.chain.store.get_ref(blocks[0].header.parent)))
        assert [len(block.transactions) for block in blocks] == [7, window]
        sent = sum(tx.size_bytes for tx in blocks[1].transactions)
        assert LARGE.rules.max_body_bytes * 49 // 100 < sent < LARGE.rules.max_body_bytes // 2
