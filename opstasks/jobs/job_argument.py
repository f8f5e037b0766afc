"""The help text of the job argument, which several tasks take."""

JOB_HELP = "A job's id, or part of its id or of workspace-action; without it, choose by number."
