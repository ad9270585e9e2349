# Completes the words of runner in fish: runner completion fish | source
function __runner_complete
    set -l words (commandline -opc)
    set -l now (commandline -ct)
    set -l found ($words[1] __complete $words[2..-1] "$now" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path "$now"
    end
end
complete -c runner -f -a '(__runner_complete)'
