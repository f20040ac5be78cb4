"""Simulates what cannot be run here: a thousand nodes on the Internet, ten years, a thousand rounds at once.

Sizes come from the real codec, charges from the real formulas, the head from the real fork choice, and speeds
are measured on this machine when the simulation begins. `docs/scale.md` explains what comes of it.
"""
