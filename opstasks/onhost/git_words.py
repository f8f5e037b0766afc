"""Runs on the host: the words of git commands, with settings that no file can change.

Automatic maintenance is off: it would run in the background and keep the host's lock. Optional
locks are off: reading a checkout must not block others from changing it.
"""

# Settings of an account or a checkout could make git miss changed files, leave out files of a
# commit, or write others. So they have the values that git has without any setting.
DEFAULTS = (
    "core.checkStat=default",
    "core.trustctime=true",
    "core.ignoreStat=false",
    "core.fsmonitor=",  # before 2.36, git would run a program with the name "false"
    "core.untrackedCache=false",
    "core.sparseCheckout=false",
    "core.autocrlf=false",
    "core.eol=native",
    "status.showUntrackedFiles=normal",
)
SETTINGS = ("gc.auto=0", "maintenance.auto=false", "core.quotePath=false", *DEFAULTS)
# The tags that the origin had at the last fetch of a deploy (`opstasks.deploy.onhost.origin`).
TAGS = "refs/opstasks/tags"
# Prints the name of a commit, as `git describe --tags --always` does, but by the origin's tags: the
# checkout may have others, made there or withdrawn by the origin. The nearest tag counts, and of
# several on one commit the highest. Before the first fetch, only the tags of the clone are known.
NAME = f"""commit=$1 fetched=$2
shift 2
highest='for-each-ref --count=1 --sort=-version:refname --format=%(refname:lstrip=3)'
name=$("$@" $highest --points-at "$commit" {TAGS}) || exit
if [ -z "$name" ]; then
    short=$("$@" rev-parse --short "$commit")
    near=$("$@" log --decorate=full --decorate-refs={TAGS} --no-show-signature --format='%H %D' \\
        "$commit" -- | grep -m 1 ' .')
    near=${{near%% *}}
    if [ "$near" ]; then
        name=$("$@" $highest --points-at "$near" {TAGS})
        name=$name-$("$@" rev-list --count "$near..$commit" --)-g$short
    elif [ "$fetched" ] || [ "$("$@" $highest {TAGS})" ]; then
        name=$short
    else
        exec "$@" describe --tags --always "$commit"
    fi
fi
printf '%s\\n' "$name"
"""


def git(*words: str) -> tuple[str, ...]:
    """The words of a git command."""
    options = [word for setting in SETTINGS for word in ("-c", setting)]
    return ("git", "--no-optional-locks", *options, *words)


def name_of(path: str, commit: str, *, is_fetched: bool = False) -> tuple[str, ...]:
    """The words of a command that prints the name of a commit in a checkout.

    The name is the nearest tag of the origin (``v2``, or ``v2-3-g1a2b3c4`` three commits later), or
    the short hash. `is_fetched`: the origin's tags are known, even if there are none.
    """
    return ("sh", "-c", NAME, "sh", commit, "1" if is_fetched else "", *git("-C", path))
