# Completes inv, invoke and opstasks in bash. To use it, add this line to ~/.bashrc:
#   eval "$(opstasks completion bash)"
_opstasks_complete() {
    local line program=${1/#\~\//$HOME/}
    case ${program##*/} in inv | invoke | opstasks) ;; *) program=inv ;; esac # an alias
    COMPREPLY=()
    while IFS= read -r line; do
        if [ "$line" = $'\t' ]; then
            compopt +o default 2>/dev/null # nothing fits here, no file either
            return
        fi
        COMPREPLY+=("$line")
    done < <(OPSTASKS_COMPLETE=bash OPSTASKS_COMPLETE_WORD=$2 \
        "$program" --complete -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null)
    if [ ${#COMPREPLY[@]} = 0 ] && [[ $2 == @* ]]; then # -H @FILE
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -P @ -f -- "${2#@}")
    elif [[ ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null # a value follows
    fi
}
complete -o default -o nosort -F _opstasks_complete inv invoke opstasks 2>/dev/null ||
    complete -o default -F _opstasks_complete inv invoke opstasks
