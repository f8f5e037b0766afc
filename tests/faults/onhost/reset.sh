#!/bin/bash
# Runs on a host as root: makes the host as it was when its state was kept in /opt/faults/$1.
# Everything of a fault may still be there: processes, mounts, stopped services, masked units.
kept=/opt/faults/$1
pkill -KILL -f '[e]xec\(sys.stdin.readline|[e]cho ready:|[/]var/lib/opstasks/scripts/|[f]aults-holder|[j]obrunner\.(cli|run)[. ]'
kill -CONT $(pidof dockerd containerd systemd-journald sshd) 2>/dev/null
for place in $(awk '$2 ~ "^(/home|/var/lib/opstasks|/srv/|/tmp|/etc)" &&
    $2 !~ "^/etc/(hosts|hostname|resolv.conf)" {print $2}' /proc/mounts | sort -r); do
  umount -l "$place"
done
systemctl stop 'opstasks-*.timer' 'opstasks-2*.service' 2>/dev/null
systemctl kill -s KILL jobrunner 2>/dev/null
systemctl stop jobrunner
rm -rf /run/nologin /run/systemd/system/jobrunner* /run/systemd/system.control/jobrunner*

bring() { rsync -a --delete --modify-window=-1 "${@:3}" "$kept/$1/" "$2/"; }
changed=$(bring etc /etc --out-format=%n --exclude=/hosts --exclude=/hostname \
  --exclude=/resolv.conf --exclude=/mtab --exclude=/.pwd.lock)
bring home /home
bring state /var/lib/opstasks --exclude=/lock --exclude=/lock.replace
bring local /usr/local --exclude=/bin
bring high_privacy /srv/high_privacy
bring medium_privacy /srv/medium_privacy
bring git /srv/sandbox/git
rm -rf /tmp/opstasks* /var/tmp/opstasks* /tmp/faults*
mountpoint -q /e || { mkdir -p /e; mount -t tmpfs -o mode=0755 tmpfs /e; }
bring e /e
grep -q registry-proxy /etc/hosts || echo '127.0.0.1 registry-proxy' >>/etc/hosts
iptables -D INPUT -p tcp --dport 22 -j DROP 2>/dev/null

case $changed in *systemd*) systemctl daemon-reload ;; esac
systemctl reset-failed
units="ssh systemd-journald docker faults-registry opstasks-level3-sync.timer"
read -r -d '' ssh journal docker registry sync < <(systemctl is-active $units)
case $ssh$changed in active*ssh*) systemctl reload ssh ;; esac
[ "$ssh" = active ] || systemctl restart ssh
[ "$journal" = active ] || systemctl start systemd-journald.socket systemd-journald
[ "$docker" = active ] || systemctl restart docker
[ "$registry" = active ] || systemd-run --quiet --unit=faults-registry --collect \
  docker-registry serve /opt/faults/registry.yml
[ "$sync" != active ] || systemctl stop opstasks-level3-sync.timer

job=$(cat /opt/faults/job)
containers=$(docker ps -a --format '{{.Names}} {{.State}}' | sort | tr '\n' ' ')
volumes=$(docker volume ls -q | grep '^os-' | tr '\n' ' ')
wanted="os-job-$job running os-volume-$job-manager running "
if [ "$containers$volumes" != "${wanted}os-volume-$job " ]; then
  docker ps -aq | xargs -r docker rm -f >/dev/null
  docker volume ls -q | grep '^os-' | xargs -r docker volume rm >/dev/null
  /opt/faults/job.sh runs
fi
docker images -q --filter 'reference=registry-proxy:5000/opensafely-core/*' | xargs -r docker rmi -f \
  >/dev/null
old=keep-ehrql:v1 tag=ghcr.io/opensafely-core/ehrql:v1
[ "$(docker inspect -f '{{.Id}}' $old $tag 2>/dev/null | uniq | wc -l)" = 1 ] || docker tag $old $tag
[ -e "$kept/down" ] || systemctl start jobrunner
