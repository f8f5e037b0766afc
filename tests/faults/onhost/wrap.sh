#!/bin/bash
# Stands in for a program of the host: PROGRAM REAL ARGUMENTS. Runs the real one, and stops before,
# during or after it when the armed trap matches: then the test makes its fault.
# /opt/faults/armed has three lines: a pattern, the moment, the number of the call to stop at.
name=$1 real=$2
shift 2
call="$name $*"
# Programs of ours are all the same command; the last word is their name.
[ "$name" = python3 ] && [ "$1" = -I ] && call="python3 ${!#}"
moment= pattern= when= number=
if [ -r /opt/faults/armed ]; then
  { IFS= read -r pattern; IFS= read -r when; IFS= read -r number; } </opt/faults/armed
  if [[ $call =~ $pattern ]]; then
    n=1
    while [ "$n" -le "$number" ] && ! mkdir "/opt/faults/count.$n" 2>/dev/null; do n=$((n + 1)); done
    [ "$n" = "$number" ] && moment=$when
  fi
fi
hit() { echo "$$ $PPID $call" | tr '\n' ' ' >/opt/faults/hit; echo >/opt/faults/hit; }
go() { read -r -t 60 _ </opt/faults/go; }
case $moment in
  before) hit; go ;;
  during) hit ;;
  after) "$real" "$@"; code=$?; hit; go; exit "$code" ;;
esac
# argv[0] without a folder: then Python's own children also come here.
exec -a "$name" "$real" "$@"
