"""Commands, results, errors, events, times: the basic types, without I/O."""
