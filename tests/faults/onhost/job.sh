#!/bin/bash
# Runs on a host as root: makes the containers and the volume of the kept job again, as job-runner
# makes them. Argument: "runs", or "ended" (with its outputs, ready for a retry).
job=$(cat /opt/faults/job)
volume="os-volume-$job"
images=ghcr.io/opensafely-core
docker rm -f "os-job-$job" "$volume-manager" >/dev/null 2>&1
docker volume rm "$volume" >/dev/null 2>&1
set -e
docker volume create --label job-runner "$volume" >/dev/null
docker run -d -i --name "$volume-manager" --label job-runner --restart unless-stopped \
  -v "$volume:/workspace" -w /workspace $images/busybox sh >/dev/null
make='mkdir -p output analysis metadata; echo x >output/longer.txt; touch .opensafely-timestamp'
words="import time; time.sleep(86400)"
[ "$1" = ended ] && words="pass"
docker exec "$volume-manager" sh -c "cd /workspace; $make"
docker run -d --name "os-job-$job" --label jobrunner-local --label job-runner \
  --label workspace=base --label action=longer --network none -e OPENSAFELY_BACKEND=test \
  -v "$volume:/workspace" -w /workspace $images/python:latest python -c "$words" >/dev/null
[ "$1" != ended ] || docker wait "os-job-$job" >/dev/null
