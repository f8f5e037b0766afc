"""Files of a host's configuration, and calls of the programs."""

from opstasks.config.keys import FILES
from opstasks.config.onhost import change, files, preview, show

TOKEN = "s3cr3t-of-the-backend"
TEXTS = {
    "01_defaults.env": "POLL_INTERVAL=15\nMAX_WORKERS=4\n",
    "02_secrets.env": f"JOB_SERVER_TOKEN={TOKEN}\nPLAIN_LOOKING=pl41n\n",
    "03_backend.env": "MAX_WORKERS=10\nDB=mssql://user:pw9@host/x\n",
    "04_local.env": "# mine\nMAX_WORKERS=2 # for now\nPLAIN_LOOKING=0ther\n",
}
CODE = (
    "import os\nMAX = int(os.environ.get('MAX_WORKERS', 1))\nB = os.environ['BACKEND']\n"
    "if 'OTEL' in os.environ: pass\ndef f(env, n): return env.get(f'{n}_DATABASE_URL')\n"
)


def write_config(folder):
    """Write the four files, and code that reads some keys."""
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    code = folder / "code" / "jobrunner"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text("")
    (code / "config.py").write_text(CODE)


def paths(folder):
    return [str(folder / name) for name in FILES]


def shown(folder, **over):
    """The answer of the program `show`."""
    found = paths(folder)
    request = {
        "files": found,
        "public_files": [found[0], found[2]],
        "secret_file": found[1],
        "secret_keys": [],
        "watched": [],
        "unit": "jobrunner",
        "code_dir": str(folder / "code"),
        "with_code": True,
    }
    return show.main({**request, **over})


def stamp(folder):
    return files.read_file(str(folder / "04_local.env")).stamp


def changed(folder, wanted, *, at=None, program=change, secret_keys=()):
    """The answer of the program `change`, or `preview`, for keys and their values."""
    request = {
        "files": paths(folder),
        "wanted": {key: value and {"value": value} for key, value in wanted.items()},
        "secret_keys": list(secret_keys),
        "code_dir": str(folder / "code"),
        "lib_dir": str(folder),
        "stamp": stamp(folder) if at is None else at,
    }
    return program.main(request)


def copies(folder):
    """Our copies of the local file, the oldest first."""
    return sorted(folder.glob("04_local.env.bak-*"))


def previewed(folder, wanted):
    return changed(folder, wanted, program=preview)
