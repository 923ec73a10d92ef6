"""Several prompts of one task that vote (Lester et al., 2021, section 6)."""
