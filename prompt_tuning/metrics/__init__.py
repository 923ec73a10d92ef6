"""Scores of predictions: `evaluate.Metric`s that work offline, and what a task makes of them."""

from prompt_tuning.metrics.scoring import METRICS, Scores, is_right, score, superglue_average

__all__ = ["METRICS", "Scores", "is_right", "score", "superglue_average"]
