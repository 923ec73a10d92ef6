"""The ladder: an invented world, tasks about its facts, and tiny models that have read of them."""
