#compdef runner
# Completes the words of runner in zsh: source <(runner completion zsh), or as the file _runner in a folder of $fpath.
_runner() {
    local line
    local -a found
    while IFS= read -r line; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then
        _describe runner found
    else
        _files
    fi
}
if [[ "${funcstack[1]}" == _runner ]]; then
    _runner "$@"
else
    compdef _runner runner
fi
