"""`lock.show`, `lock.break`: who is changing a host, and how to stop a change that hangs."""
