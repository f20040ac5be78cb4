"""Makes the codecs of transactions and records ready before the first of them arrives.

The codec of a class is compiled when it is first used, which takes some 10 milliseconds, and 100 for a class
that holds many others, during which nothing else of the process goes on. So a node does it once it is ready,
one class after the other, the innermost first, in a thread that lets the others go on in between.
"""

from __future__ import annotations

import asyncio
from itertools import chain

from engram.primitives.codegen import functions
from engram.primitives.schema import innermost_first
from engram.statemachine.registry import RECORDS
from engram.statemachine.transactions import TX_TYPES


async def compile_codecs() -> None:
    """Compiles every codec that is not there yet."""
    needed = chain.from_iterable(map(innermost_first, (*TX_TYPES.values(), *RECORDS.values())))
    for cls in dict.fromkeys(needed):
        await asyncio.to_thread(functions, cls)
