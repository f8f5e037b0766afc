# Completes inv, invoke and opstasks in fish. To use it:
#   opstasks completion fish > ~/.config/fish/conf.d/opstasks.fish
function __opstasks_complete
    set -l words (commandline -opc | string match --invert --regex '^\w+=')
    set -l program (string replace --regex '^~/' "$HOME/" -- $words[1])
    string match --quiet --regex '(^|/)(inv|invoke|opstasks)$' -- $program
    or set program inv # an alias
    set -l line (commandline -cp | string join ' ')
    set -l lines (env OPSTASKS_COMPLETE=fish $program --complete -- "$line" 2>/dev/null </dev/null)
    if test (count $lines) -gt 0
        # A tab alone: nothing fits here, no file either.
        string match --invert -- \t $lines
        return
    end
    set -l parts (string match --regex '^(.*[=@]|)(.*)$' -- (commandline -ct))
    for path in (__fish_complete_path "$parts[3]")
        echo "$parts[2]$path"
    end
end
for name in inv invoke opstasks
    complete --command $name --erase
    complete --command $name --no-files --keep-order --arguments '(__opstasks_complete)'
end
