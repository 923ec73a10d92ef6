"""Did the runs reproduce the paper? Finished runs and published numbers in, tables and figures out.

Each published artefact has a file: its runs, table, figure and claims. Reads records, never a
model: no torch, no Hydra.
"""
