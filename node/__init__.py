"""Disk, clock, processes and RPC: joins the pure core to the world. No rule of validity stands here."""
