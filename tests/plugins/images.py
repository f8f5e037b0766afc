"""A registry on a sandbox host that stands in for the proxy of a backend."""

import pytest

from tests.images.images_help import SANDBOX_HOST, SANDBOX_PROXY, SANDBOX_REGISTRY

REGISTRY = """
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:5000"}
"""
SERVE = """
set -e
systemd-run --quiet --unit=test-registry --collect docker-registry serve /tmp/registry.yml
for _ in $(seq 50); do curl -sf http://127.0.0.1:5000/v2/ >/dev/null && break; sleep 0.2; done
"""
START = """
set -e
cp /etc/hosts /var/tmp/hosts.before
echo '127.0.0.1 registry-proxy' >>/etc/hosts
[ ! -e /etc/docker/daemon.json ] || cp /etc/docker/daemon.json /var/tmp/daemon.before
proxies='["registry-proxy:5000", "registry-proxy:5001"]'
echo '{"insecure-registries": '"$proxies"'}' >/etc/docker/daemon.json
systemctl reload docker
cat >/tmp/registry.yml
docker tag ghcr.io/opensafely-core/ehrql:v1 keep-ehrql:v1
"""
STOP = f"""
systemctl stop test-slow
docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -F :5001/ | xargs -r docker rmi -f
docker tag keep-ehrql:v1 {SANDBOX_REGISTRY}/ehrql:v1
docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -F {SANDBOX_PROXY} \
    | xargs -r docker rmi -f
docker rmi keep-ehrql:v1 {SANDBOX_REGISTRY}/newer:v1
docker image prune -f
systemctl stop test-registry
cat /var/tmp/hosts.before >/etc/hosts
if [ -e /var/tmp/daemon.before ]; then mv /var/tmp/daemon.before /etc/docker/daemon.json
else rm -f /etc/docker/daemon.json; fi
systemctl reload docker
rm -rf /tmp/registry /tmp/registry.yml
true
"""


@pytest.fixture(scope="module")
def image_registry(managed):
    """The sandbox with a registry by the name of a proxy, which docker trusts for now."""
    managed.must(SANDBOX_HOST, ["bash", "-c", START], stdin=REGISTRY)
    managed.must(SANDBOX_HOST, ["bash", "-c", SERVE])
    yield managed
    managed.must(SANDBOX_HOST, ["bash", "-c", STOP])


@pytest.fixture(scope="module")
def restart_image_registry(image_registry):
    """Start the registry again, after a test stopped it."""
    return lambda: image_registry.must(SANDBOX_HOST, ["bash", "-c", SERVE])
