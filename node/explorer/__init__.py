"""Pages with which a browser explores the chain of this node.

`static` holds them as files, which need no build step: a document, a style sheet, and modules of JavaScript.
They read by JSON-RPC over the node's own WebSocket, so they know no more than any other client does.
"""
