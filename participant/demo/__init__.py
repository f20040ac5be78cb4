"""The demonstration: strangers to each other play the paper on a network of nodes on this machine.

Everyone reaches the chain as any user does: by RPC, through the node he happens to use.
"""
