"""How a participant makes weights: shapes, first drafts, quantisation-aware training. No chain."""
