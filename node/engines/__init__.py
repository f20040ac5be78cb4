"""Engines outside of the core: they evaluate networks with other libraries, or on graphics cards.

`registry` lists all engines, `choosing` finds one that is exact on this machine. What `nn.engine` asks of an
engine is all that the rest of the program knows of it.
"""
