"""Programs of `lock.break` that run on the host."""
