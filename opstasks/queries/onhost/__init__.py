"""The program that runs on the host: the statements in the logs of database jobs."""
