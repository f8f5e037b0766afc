"""The proof that we connect as OpenSSH does: `ssh` and our tool in the same situations."""
