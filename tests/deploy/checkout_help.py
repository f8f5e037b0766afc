"""A small job-runner and its repository, for tests of the host's side."""

from opstasks.deploy.onhost import origin
from tests.deploy.deploy_help import git

DATABASE_MODULE = 'MIGRATIONS = {1: "CREATE TABLE job", 2: "ALTER  TABLE\\n job"}\n'
MODULES = ("service", "models", "cli/__init__", "cli/migrate", "cli/flags", "lib/__init__")


def write_package(folder, config="", migrations=DATABASE_MODULE):
    """A package with the modules of job-runner that an inspection imports."""
    for name in ("__init__", *MODULES):
        path = folder / "jobrunner" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (folder / "jobrunner" / "lib" / "database.py").write_text(migrations)
    (folder / "jobrunner" / "config.py").write_text(config)


def commit_upstream(upstream, subject, tag=""):
    git("commit", "-q", "--allow-empty", "-m", subject, cwd=upstream)
    if tag:
        git("tag", tag, cwd=upstream)
    return git("rev-parse", "HEAD", cwd=upstream)


# Each import of the package adds a line to this file in the folder of the configuration.
LOG = "imports"
READS = 'import os\nos.environ["CONFIG"]\n'
MIGRATED = DATABASE_MODULE.replace("}", ', 3: "DROP TABLE job"}')


def small_backend(folder):
    """Checkouts of code and dependencies at v1; v2 brings a migration and reads a new key."""
    upstream = folder / "upstream"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "load-env").write_text(f"SECRET=opensesame\nCONFIG={folder}/config\n")
    write_package(upstream, READS)
    (upstream / "jobrunner" / "service.py").write_text("import jobrunner.config")
    (upstream / ".gitignore").write_text("__pycache__/\n")
    git("init", "-q", "-b", "main", cwd=upstream)
    git("add", ".", cwd=upstream)
    commit_upstream(upstream, "first", "v1")
    for name in ("code", "lib"):
        git("clone", "-q", str(upstream), str(folder / name), cwd=folder)
        git("checkout", "-q", "--detach", "v1", cwd=folder / name)
    write_package(upstream, READS + 'os.environ.get("NEW")\n', MIGRATED)
    (upstream / "jobrunner" / "service.py").write_text("import jobrunner.config")
    git("add", ".", cwd=upstream)
    commit_upstream(upstream, "second", "v2")
    for name in ("code", "lib"):
        assert origin.fetch(str(folder / name)).returncode == 0
    return folder


def import_count(folder):
    """How often the code of a small backend was imported."""
    log = folder / "config" / LOG
    return len(log.read_text()) if log.exists() else 0
