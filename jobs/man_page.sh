#!/bin/sh
# Prints the manual page of a program, made from what its --help says:
#   jobs/man_page.sh PROGRAM [COMMAND] > gem-map.1
set -eu
case ${1:-} in
  --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
  '' | -*) echo "man_page.sh: name a program; see --help" >&2; exit 2 ;;
esac
program=$1
shift
version=$("$program" --version | head -n 1)
# Python's help has its usage first, in small letters.
"$program" "$@" --help | awk -v name="$(basename "$program")" -v RS= -v ORS='\n\n' '
  NR == 1 && /^usage: / { usage = $0; sub(/^usage/, "Usage", usage); next }
  NR == 2 && usage != "" { $0 = name ": " $0 "\n\n" usage }
  { print }' | awk -v name="$(basename "$program")${1:+-$1}" -v version="$version" '
  function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return (text ~ /^[.\047]/ ? "\\&" : "") text  # a line that begins so is taken for a command
  }
  function flush_summary() {
    if (summary == "") return
    sub(/^[^:]*: /, "", summary)
    print ".SH NAME\n" roff(name) " \\- " roff(summary)
    summary = ""
  }
  BEGIN { print ".TH \"" toupper(name) "\" 1 \"\" \"" version "\" \"GEM\"" }
  /^Usage: / {
    flush_summary()
    sub(/^Usage: /, "")
    print ".SH SYNOPSIS\n" roff($0)
    in_usage = 1
    next
  }
  !in_usage { if ($0 != "") summary = summary (summary == "" ? "" : " ") $0; next }
  /^[A-Za-z].*:$/ { sub(/:$/, ""); print ".SH " toupper($0); verbatim = ($0 ~ /^[Ee]xample/); next }
  verbatim && NF { if (!opened) print ".nf"; opened = 1; print roff($0); next }
  /^$/ { if (opened) print ".fi"; opened = 0; verbatim = 0; in_text = 0; next }
  /^  -/ || /^  [A-Za-z0-9]/ || /^    [a-z0-9]/ {
    line = $0
    sub(/^ +/, "", line)
    cut = match(line, /  +/)
    print ".TP\n.B " roff(cut ? substr(line, 1, cut - 1) : line)
    if (cut) print roff(substr(line, RSTART + RLENGTH))
    next
  }
  /^[^ ]/ { if (!in_text) print ".PP"; in_text = 1 }
  { sub(/^ +/, ""); print roff($0) }
  END { if (opened) print ".fi" }'
