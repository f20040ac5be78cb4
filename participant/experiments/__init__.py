"""Experiments: each is a list of cells, whose rows become tables, plots and a report.

`plan.py` is the contract of an experiment, `registry.py` lists all. `runner.py` has the missing cells
computed, each in a process of its own (`scheduler.py`) or on a Dask cluster (`cluster.py`), and keeps each
finished one as a file (`cells.py`). `document.py` says what a report is made of; `rendering.py` writes it.
"""
