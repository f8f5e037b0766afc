"""The ids of runs: in the names of the files that a run makes on a host."""

# The time on the operator's clock (UTC), and a random end; a regular expression.
RUN_ID = "[0-9]{8}T[0-9]{6}-[0-9a-f]{6}"
