"""What a trained prompt looks like among the vocabulary (Lester et al., 2021, section 7)."""
