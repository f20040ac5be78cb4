"""What the methods of RPC answer: the shape of each result, as types.

Each method names the type of its result where it stands (`@rpc_method(result=...)`). From these types
`schemas` makes the JSON Schemas of the document that a node serves, and tests hold every result against them.
"""
