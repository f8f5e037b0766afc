#!/bin/sh
# Makes the images that job-runner expects, inside the Docker of a sandbox host.
set -eu

registry=ghcr.io/opensafely-core
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

import() { # import TREE NAME: a tree becomes an image of one layer
    tar -C "$1" -c . | docker import --change 'WORKDIR /workspace' --change 'CMD ["sh"]' - "$2"
}

layer() { # layer BASE NAME SOURCE TARGET [CHANGE...]: one tree on top of an image
    base=$1 name=$2 source=$3 target=$4
    shift 4
    container=$(docker create "$base")
    docker cp "$source" "$container:$target"
    docker commit "$@" "$container" "$name"
    docker rm "$container"
}

take() { # take TREE PROGRAM...: copy programs and the libraries that they load
    tree=$1
    shift
    for program in "$@"; do
        cp --dereference --parents "$program" "$tree"
        { ldd "$program" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
            cp --dereference --parents --update "$library" "$tree"
        done
    done
}

box=$work/busybox
mkdir -p "$box/bin" "$box/usr/bin" "$box/tmp" "$box/etc" "$box/workspace"
chmod 1777 "$box/tmp"
echo 'root:x:0:0:root:/root:/bin/sh' >"$box/etc/passwd"
cp /usr/bin/busybox "$box/bin/busybox"
for applet in $(/usr/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$box/bin/$applet"
done
import "$box" "$registry/busybox:latest"

python=$work/python
cp -a "$box" "$python"
take "$python" /usr/bin/python3.11 /usr/lib/python3.11/lib-dynload/*.so
ln -s python3.11 "$python/usr/bin/python3"
ln -s python3.11 "$python/usr/bin/python"
tar -C / --exclude=__pycache__ --exclude=test --exclude=ensurepip --exclude=idlelib \
    --exclude=lib2to3 --exclude=pydoc_data --exclude='config-3.11-*' --exclude=lib-dynload \
    -c usr/lib/python3.11 | tar -C "$python" -x
import "$python" "$registry/python:latest"
docker tag "$registry/python:latest" "$registry/python:v1"

tools=$work/tools
mkdir "$tools"
take "$tools" /usr/bin/strace /usr/bin/ps /usr/bin/less /usr/bin/bash
docker tag "$registry/python:latest" sandbox-base
layer sandbox-base "$registry/tools:latest" "$tools/." /
docker tag "$registry/tools:latest" "$registry/tools:v1"

cat >"$work/ehrql" <<'END'
#!/usr/bin/python3
"""Stands in for ehrQL: queries take their time and are logged with the hour, as the real ones."""
import os
import sys
import time

TABLES = ("patients", "events", "medications", "appointments", "ons_deaths", "results")


def log(text):
    print(time.strftime("%Y-%m-%d %H:%M:%S"), "[info   ]", text, flush=True)


def main():
    output = sys.argv[sys.argv.index("--output") + 1] if "--output" in sys.argv else None
    log(f"Running {' '.join(sys.argv[1:])}")
    for number, table in enumerate(TABLES, 1):
        log(f"INSERT INTO [#tmp_{number}] ({table})\n  SELECT patient_id, date\n  FROM {table}")
        time.sleep(float(os.environ.get("SECONDS_A_QUERY", "15")))
        log(f"{number * 1000} rows")
    if output:
        os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
        with open(output, "w") as file:
            file.write("patient_id,sex\n1,F\n2,M\n")
        log(f"Wrote {output}")


main()
END
chmod 755 "$work/ehrql"
layer sandbox-base "$registry/ehrql:v1" "$work/ehrql" /usr/bin/ehrql \
    --change 'ENTRYPOINT ["/usr/bin/ehrql"]' --change 'CMD []'
docker rmi sandbox-base
