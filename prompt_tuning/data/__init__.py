"""Examples from official files, the hub or the package, their token ids, and batches of them."""
