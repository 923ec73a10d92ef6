"""The T5 that prompts stand in front of: checkpoints, forward pass, decoding, first prompts."""
