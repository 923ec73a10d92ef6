"""Runs, each from its config to its record: training by method, scoring, voting, inspecting."""
