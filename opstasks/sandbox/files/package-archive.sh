#!/bin/sh
# Runs once inside the unpacked Debian: hosts are kept from the world, so the packages that a
# test may install lie on the host itself, as an archive that apt reads. Arguments: packages.
set -eu

archive=/srv/sandbox/apt
mkdir -p "$archive"
apt-get clean
apt-get install -y --download-only --no-install-recommends "$@"
mv /var/cache/apt/archives/*.deb "$archive"
cd "$archive"
for file in *.deb; do
    dpkg-deb --field "$file"
    echo "Filename: ./$file"
    echo "Size: $(stat -c %s "$file")"
    echo "SHA256: $(sha256sum "$file" | cut -d' ' -f1)"
    echo
done >Packages
echo "deb [trusted=yes] file:$archive ./" >/etc/apt/sources.list
rm -rf /var/lib/apt/lists/*
apt-get update
