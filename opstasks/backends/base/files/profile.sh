# Managed by opstasks: do not edit here.
export BACKEND="@backend@"
# An idle shell ends after 15 minutes.
if [ -z "${TMOUT:-}" ]; then
    TMOUT=900
    readonly TMOUT
    export TMOUT
fi
# A new developer has no password yet, and sudo asks for one.
case " $(id -nG) " in
    *" developers "*)
        if [ -t 1 ] && [ "$(passwd -S 2>/dev/null | cut -d' ' -f2)" = L ]; then
            echo "You have no password yet. Set the one that sudo asks for: sudo first-password"
        fi
        ;;
esac
