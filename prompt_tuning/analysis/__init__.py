"""Did the runs reproduce the paper? Finished runs and published numbers in, tables and figures out.

Reads records, never a model: no torch, no Hydra.
"""
