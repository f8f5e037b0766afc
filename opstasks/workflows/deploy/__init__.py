"""Deploying job-runner (playbook: "Deploy job-runner").

- `facts`    everything a decision needs, in one round trip, nothing changed but git's store
- `plan`     pure: what would change, what forbids it, what is already right
- `act`      the steps on the host, each one a single round trip and safe to repeat
- `release`  the record of each deploy that stays on the host

The `remote_*` files run on the host, with the standard library only: `remote_inspect` looks,
`remote_steps` acts by means of the others.
"""
