"""Experiment `hospitals`: six referral sources teach one model and never show their rows to each other."""
