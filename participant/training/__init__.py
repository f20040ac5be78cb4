"""How a participant makes weights: shapes, fresh networks, quantisation-aware training. No chain."""
