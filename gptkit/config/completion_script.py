"""The script that `eval "$(gptkit -sc install)"` runs in bash or zsh.

Hydra's own script changes the word breaks of the shell for all programs, and needs a bash emulation in zsh. This one changes no
settings of the shell. Both functions run `gptkit -sc query=<shell>`, which reads the line up to the cursor from COMP_LINE and
COMP_POINT and prints one completed word per line. A word that ends in `=`, `.` or `/` is incomplete: no space follows it.
"""

INSTALL = r"""
_gptkit_bash() {
    # bash also splits words at `=`, `:` and `@`, and replaces only the part after the last of them: $2
    local line="${COMP_LINE:0:COMP_POINT}" choice
    local typed="${line##* }"
    local before="${typed%"$2"}"
    COMPREPLY=()
    while IFS= read -r choice; do
        case "$choice" in "$typed"*) COMPREPLY+=("${choice#"$before"}") ;; esac
    done < <(COMP_LINE="$line" COMP_POINT=${#line} "$1" -sc query=bash 2>/dev/null)
    case "${COMPREPLY[0]}" in *[=./]) compopt -o nospace 2>/dev/null ;; esac
}
_gptkit_zsh() {
    local line="${words[1,CURRENT-1]} $PREFIX" choice
    local finished=() unfinished=()
    while IFS= read -r choice; do
        case "$choice" in *[=./]) unfinished+=("$choice") ;; *) finished+=("$choice") ;; esac
    done < <(COMP_LINE="$line" COMP_POINT=${#line} "${words[1]}" -sc query=zsh 2>/dev/null)
    if [ $((${#finished[@]} + ${#unfinished[@]})) -gt 0 ]; then
        compadd -S "" -- "${unfinished[@]}"
        compadd -- "${finished[@]}"
    else
        compset -P "*="
        _files
    fi
}
if [ -n "$ZSH_VERSION" ]; then
    if ! typeset -f compdef > /dev/null; then
        autoload -Uz compinit
        compinit -i
    fi
    compdef _gptkit_zsh gptkit
else
    complete -o default -F _gptkit_bash gptkit
fi
"""

UNINSTALL = r"""
if [ -n "$ZSH_VERSION" ]; then
    compdef -d gptkit
else
    complete -r gptkit
fi
unset -f _gptkit_bash _gptkit_zsh
"""
