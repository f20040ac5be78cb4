"""Numbers that no record has are answered with a code, or with nothing; none is a bug of the node."""

from dataclasses import replace

import pytest

from engram.node.concurrency import ReaderThreads
from engram.node.errors import FeaturesInvalid
from engram.node.rpc.explain import MAX_EXPLAINED
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.model import ModelMethods
from engram.node.rpc.render import Renderer
from engram.node.rpc.slow import SlowCalls
from engram.primitives.hashing import Tag, tagged_hash
from engram.statemachine.errors import MissingRecord
from engram.statemachine.scoring import Scorer
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.memory_chain import MemoryChain, easy_spec
from tests.support.node_chain import running
from tests.support.round_matter import ACTORS, OPENER, SMALL_RULES, founding, make_part, network, train_terms

FAR = (1, 2**32 - 1, 2**32, 2**64, 2**70, -1, -(2**70))


async def test_numbers_beyond_every_record() -> None:
    chain = MemoryChain(replace(easy_spec(ACTORS), rules=SMALL_RULES))
    terms = train_terms([make_part(index, parts=4) for index in range(4)])
    opening = chain.sign(OPENER, OpenRound(terms, founding=founding(network(6, 0))))
    chain.mine([opening])
    model = tagged_hash(Tag.MODEL, opening.id)
    async with running(spec=chain.spec) as node:
        await node.take(*chain.blocks[1:])
        threads = ReaderThreads(1)
        views = HeadViews(node.chain, Scorer(), threads, SlowCalls(threads))
        render = Renderer(chain.spec.hrp, chain.spec.rules)
        models = ModelMethods(views, render)
        assert (await models.model_version(model))["number"] == 0
        for number in FAR:
            with pytest.raises(MissingRecord, match="version"):
                await models.model_version(model, number)
            with pytest.raises(MissingRecord, match="version"):
                await models.model_predict(model, [[0] * 6], number)
        told = await models.model_predict(model, [[0] * 6, [9] * 6], explain=True)
        for answer in told["predictions"]:
            others = [logit for label, logit in enumerate(answer["logits"]) if label != answer["class"]]
            best = max(answer["logits"])
            assert answer["margin"] == best - max(others, default=best)
            for name, whole in (("logit", best), ("margin", answer["margin"])):
                parts = [part[name] for part in (*answer["parts"], *answer["rest"].values())]
                assert sum(parts) == whole
        with pytest.raises(FeaturesInvalid):
            await models.model_predict(model, [[0] * 6] * (MAX_EXPLAINED + 1), explain=True)
        assert (
            len((await models.model_predict(model, [[0] * 6] * (MAX_EXPLAINED + 1)))["predictions"])
            > MAX_EXPLAINED
        )
        threads.close()
