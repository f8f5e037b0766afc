"""What operators want done: check, plan, act, verify. Host in, plan or outcome out."""
