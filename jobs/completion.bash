# shellcheck shell=bash
# Completion of GEM's programs for bash: options, commands and choices are those that --help of the program prints.
#
#   source jobs/completion.bash     (cmake --install puts it where bash-completion finds it)

_gem_complete() {
  local program=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} help choices
  local call=("$program")
  # gem-trace and gem-deploy: the command is the first word that is no option.
  if [ "$COMP_CWORD" -gt 1 ] && [[ ${COMP_WORDS[1]} != -* ]]; then call+=("${COMP_WORDS[1]}"); fi
  help=$("${call[@]}" --help 2> /dev/null) || help=$("$program" --help 2> /dev/null) || return 0
  if [[ $before == --* ]]; then
    # {a,b}: as gem-analysis writes what others write as a|b.
    choices=$(awk -v name="$before" '$1 == name { print $2; exit }' <<< "$help" | tr -d '{}' | tr , '|')
    case $choices in
      *'|'*) mapfile -t COMPREPLY < <(compgen -W "${choices//|/ }" -- "$word") ;;
      *[A-Z]*) COMPREPLY=() ;; # a value: bash offers files
    esac
    [ -n "$choices" ] && return 0
  fi
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(awk '/^  -/ { for (i = 1; i <= NF && i < 5; ++i) if ($i ~ /^--[a-z]/) print $i }' <<< "$help")" -- "$word")
  elif [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(awk '/^Commands:/ { here = 1; next } /^$/ { here = 0 }
                                               here && /^  [a-z]/ { print $1 }
                                               /^    [a-z]+ +[a-z]/ { print $1 }' <<< "$help")" -- "$word")
  fi
}
complete -o default -F _gem_complete gem-profile gem-trace gem-map gem-verify gem-deploy gem-adapt gem-batch \
  gem-analysis
