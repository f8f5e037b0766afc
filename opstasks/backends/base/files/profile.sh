# Managed by opstasks: do not edit here.
export BACKEND="@backend@"
# A shell that nobody types into for a quarter of an hour ends.
if [ -z "${TMOUT:-}" ]; then
    TMOUT=900
    readonly TMOUT
    export TMOUT
fi
