"""How a participant makes weights. No node and no chain: networks and rows go in, integers come out.

`shapes.py` says which segments a fresh network or a growth has and how they are wired. `architect.py` draws
first weights for them and fits their shifts to a sample of rows. `qat.py` trains the weights: it computes in
floats but rounds as the chain's integer network does, so that the result behaves the same there; its losses
and gradients stand in `gradients.py`. `trainer.py` joins these steps into what strategies call: `train`,
`grow` and `evaluate`. The loss that a participant claims is never computed here in floats: it comes from
`nn.network` on the integers.
"""
