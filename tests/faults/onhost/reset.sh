#!/bin/bash
# Runs on a host as root: makes the host as it was when its state was kept in /opt/faults/$1.
# Not in order with the programs of the host: everything of a fault may still be there.
kept=/opt/faults/$1
for p in /proc/[0-9]*; do
  line=$(tr '\0' ' ' 2>/dev/null <"$p/cmdline")
  case $line in
    *'exec(sys.stdin.readline'*|*'echo ready:'*|*/var/lib/opstasks/scripts/*|*faults-holder*|*jobrunner.cli.*|*jobrunner.run*)
      kill -KILL "${p#/proc/}" 2>/dev/null ;;
  esac
done
kill -CONT $(pidof dockerd containerd systemd-journald sshd) 2>/dev/null
for place in $(awk '$2 ~ "^(/home/opensafely|/var/lib/opstasks|/srv/|/tmp|/etc)" && $2 !~ "^/etc/(hosts|hostname|resolv.conf)" {print $2}' /proc/mounts | sort -r); do
  umount -l "$place"
done
chattr -i -R /home/opensafely /var/lib/opstasks 2>/dev/null
systemctl stop 'opstasks-*.timer' 'opstasks-2*.service' 2>/dev/null
systemctl kill -s KILL jobrunner 2>/dev/null; systemctl stop jobrunner
rm -rf /run/nologin /run/systemd/system/jobrunner* /run/systemd/system.control/jobrunner*
changed=$(rsync -a --delete --modify-window=-1 --out-format=%n --exclude=/hosts --exclude=/hostname \
  --exclude=/resolv.conf --exclude=/mtab --exclude=/.pwd.lock "$kept/etc/" /etc/)
rsync -a --delete --modify-window=-1 "$kept/home/" /home/
rsync -a --delete --modify-window=-1 --exclude=/lock --exclude=/lock.replace "$kept/state/" /var/lib/opstasks/
for name in high_privacy medium_privacy; do
  rsync -a --delete --modify-window=-1 "$kept/$name/" "/srv/$name/"
done
rm -rf /tmp/opstasks* /var/tmp/opstasks* /tmp/faults*
mountpoint -q /e || { mkdir -p /e; mount -t tmpfs -o mode=0755 tmpfs /e; }
rsync -a --delete "$kept/e/" /e/
case $changed in *systemd*) systemctl daemon-reload ;; esac
case $changed in *ssh*) systemctl reload ssh ;; esac
iptables -D INPUT -p tcp --dport 22 -j DROP 2>/dev/null
systemctl reset-failed
systemctl is-active -q ssh || systemctl restart ssh.socket ssh.service 2>/dev/null || systemctl restart ssh
systemctl is-active -q systemd-journald || systemctl start systemd-journald.socket systemd-journald
docker ps -q >/dev/null 2>&1 || systemctl restart docker
systemctl is-active -q opstasks-level3-sync.timer && ! [ -e "$kept/etc/systemd/system/opstasks-level3-sync.timer" ] &&
  systemctl stop opstasks-level3-sync.timer
keep=$(cat /opt/faults/job 2>/dev/null)
for name in $(docker ps -a --format '{{.Names}}' | grep -E '^(os-|opstasks-)'); do
  case $name in *"$keep"*) ;; *) docker rm -f "$name" >/dev/null ;; esac
done
for name in $(docker volume ls -q | grep '^os-'); do
  case $name in *"$keep"*) ;; *) docker volume rm "$name" >/dev/null ;; esac
done
rsync -a --delete "$kept/git/" /srv/sandbox/git/
grep -q registry-proxy /etc/hosts || echo '127.0.0.1 registry-proxy' >>/etc/hosts
systemctl is-active -q faults-registry ||
  systemd-run --quiet --unit=faults-registry --collect docker-registry serve /opt/faults/registry.yml
for tag in ghcr.io/opensafely-core/ehrql:v1; do
  [ "$(docker inspect -f '{{.Id}}' $tag)" = "$(docker inspect -f '{{.Id}}' keep-ehrql:v1)" ] ||
    docker tag keep-ehrql:v1 $tag
done
state=$(docker inspect -f '{{.State.Running}}' "os-job-$keep" "os-volume-$keep-manager" 2>&1 | tr '\n' ' ')
{ [ "$state" = "true true " ] && docker volume inspect "os-volume-$keep" >/dev/null 2>&1; } ||
  /opt/faults/job.sh runs
[ -e "$kept/down" ] || systemctl start jobrunner
