"""The command line: flags, help, completion, questions, and what a task gets."""
