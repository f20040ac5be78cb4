"""Experiment `lifelong`: classes arrive group by group, each taught by an owner without rows of the others.

`streams.py` says what is measured, `rows.py` cuts the rows, `lineage.py` founds and teaches one model in real
rounds, `experiment.py` puts a cell together and has the versions scored. `report.py` and
`report_published.py` make the report.
"""
