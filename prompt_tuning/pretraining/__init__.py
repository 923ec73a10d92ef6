"""Pre-training and LM adaptation: text to segments to rows of inputs and targets."""
