"""The order of the stages: read ─► anonymize ─► count ─► release ─► evidence ─► select ─► write.

Stages meet here. `mine` goes down the whole line, `private` does so under differential privacy; the others open a log
and go as far as their stage.
"""
