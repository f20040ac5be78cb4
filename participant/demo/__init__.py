"""The demonstration: a network of nodes on this machine on which the paper is played by strangers to each other.

Everyone reaches the chain as any user does: by RPC, through the node he happens to use.
"""
