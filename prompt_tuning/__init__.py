"""ptune: a PyTorch reproduction of prompt tuning (Lester et al., 2021)."""

__version__ = "0.1.0"
