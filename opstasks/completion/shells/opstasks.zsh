#compdef inv invoke opstasks
# Completes inv, invoke and opstasks in zsh. To use it, add this line to ~/.zshrc, after compinit:
#   eval "$(opstasks completion zsh)"
_opstasks() {
    emulate -L zsh
    local line value about program=${words[1]/#\~\//$HOME/}
    local -a lines values shown options
    integer width=0
    [[ ${program:t} == (inv|invoke|opstasks) ]] || program=inv # an alias
    lines=(${(f)"$(OPSTASKS_COMPLETE=zsh $program --complete -- \
        "${(j: :)words[1,CURRENT-1]} $QIPREFIX$IPREFIX$PREFIX" 2>/dev/null </dev/null)"})
    if (( ! $#lines )); then
        compset -P '*[=@]'
        _files
        return
    fi
    for line in $lines; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || return 1 # nothing fits here, no file either
        values+=("$value")
        (( $#value > width )) && width=$#value
    done
    for line in $lines; do
        value=${line%%$'\t'*} about=${line#*$'\t'}
        [[ -n $about ]] && value="${(r:width:)value} -- $about"
        (( $#value < COLUMNS )) || value="${value[1,COLUMNS-4]}..."
        shown+=("$value")
    done
    [[ $values[1] == *= ]] && options=(-S '') # a value follows
    [[ -n ${(M)shown:#* -- *} ]] && options+=(-l)
    compadd -V opstasks "${options[@]}" -d shown -a values
}
if [[ $funcstack[1] == _opstasks ]]; then
    _opstasks "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _opstasks inv invoke opstasks
fi
