#!/bin/bash
# Runs on a host as root: keeps its present state in /opt/faults/$1, for reset.sh.
set -e
kept=/opt/faults/$1
mkdir -p "$kept"
systemctl stop jobrunner
rsync -a --delete --exclude=/hosts --exclude=/hostname --exclude=/resolv.conf /etc/ "$kept/etc/"
rsync -a --delete /home/ "$kept/home/"
rsync -a --delete /var/lib/opstasks/ "$kept/state/"
rsync -a --delete --exclude=/bin /usr/local/ "$kept/local/"
rsync -a --delete /srv/high_privacy/ "$kept/high_privacy/"
rsync -a --delete /srv/medium_privacy/ "$kept/medium_privacy/"
rsync -a --delete /e/ "$kept/e/"
rsync -a --delete /srv/sandbox/git/ "$kept/git/"
if [ "$2" = down ]; then touch "$kept/down"; else systemctl start jobrunner; fi
