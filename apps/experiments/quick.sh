#!/bin/sh
# Every experiment of the paper in its short form, on the procedural data: does all of it run? Usage: quick.sh BUILD [OUT]
# An interrupted run goes on; networks trained for seconds know little, so the numbers mean nothing.
set -eu
build=$1
out=${2:-$build/paper-quick}
mkdir -p "$out"
for name in fig2 fig4 table1 table2 table3 fig5 table4; do
  printf '$ %s --preset quick --out %s\n' "$build/experiments/$name" "$out"
  "$build/experiments/$name" --preset quick --out "$out" >/dev/null 2>"$out/$name.log" || {
    code=$?
    tail -n 20 "$out/$name.log" >&2
    exit $code
  }
  for kind in json csv md; do
    test -s "$out/$name.$kind" || { echo "$name: no $out/$name.$kind" >&2; exit 1; }
  done
  if command -v gnuplot >/dev/null && ! test -s "$out/$name.svg"; then
    echo "$name: no $out/$name.svg" >&2
    exit 1
  fi
done
echo "tables and pictures are in $out"
