# Managed by opstasks: do not edit here.
export BACKEND="@backend@"
# An idle shell ends after 15 minutes.
if [ -z "${TMOUT:-}" ]; then
    TMOUT=900
    readonly TMOUT
    export TMOUT
fi
