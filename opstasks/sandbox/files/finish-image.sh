#!/bin/sh
# Runs once in a container of the plain Debian image and turns it into a sandbox host.
set -eu

# Two people with an account: one for sudo without, one for sudo with a password.
useradd --create-home --shell /bin/bash --uid 1000 ops
useradd --create-home --shell /bin/bash --uid 1001 dev
# The account of the many cheap hosts: key only, and a shell that starts fast.
useradd --create-home --shell /bin/dash --uid 1002 --skel /dev/null --password '*' many
for user in ops dev many; do
    install -d -o "$user" -g "$user" -m 700 "/home/$user" "/home/$user/.ssh"
done
cat >/etc/sudoers.d/sandbox <<'END'
Defaults use_pty
ops ALL=(ALL:ALL) NOPASSWD: ALL
dev ALL=(ALL:ALL) ALL
END
chmod 440 /etc/sudoers.d/sandbox
visudo --check --quiet

# Each host gets its own host keys and machine id.
rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id
echo 'UseDNS no' >/etc/ssh/sshd_config.d/sandbox.conf
mkdir -p /run/sshd

# Journals survive a reboot, as on a real host.
mkdir -p /var/log/journal

# Not needed in a container. The registry is there for tests that start one.
systemctl --quiet disable docker-registry.service e2scrub_all.timer fstrim.timer e2scrub_reap.service
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    getty@tty1.service console-getty.service systemd-udevd.service systemd-pstore.service

# The git addresses that operators and job-runner use point to repositories on the host.
install -m 644 /sandbox/gitconfig /etc/gitconfig
install -m 755 /sandbox/init /usr/local/sbin/sandbox-init
install -m 755 /sandbox/nested-images.sh /usr/local/sbin/sandbox-nested-images
mkdir -p /srv/sandbox
mv /sandbox/git /srv/sandbox/git
chown -R root:root /srv/sandbox
chmod -R u=rwX,go=rX /srv/sandbox
rm -rf /sandbox /var/cache/apt/archives/*.deb
