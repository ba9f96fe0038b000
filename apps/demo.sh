#!/bin/sh
# The main job in minutes, on the built-in procedural data: train a network, search its bits, look at the answer, pack it,
# check the packed file. Everything lands in BUILD/demo; a demo that was interrupted goes on where it stopped.
set -eu
build=${1:-build}
kronbit=$build/kronbit
demo=$build/demo
mkdir -p "$demo"
say() { printf '\n$ %s\n' "$*"; "$@"; }

say "$kronbit" info
say "$kronbit" train --net resnet20 --data synthetic --epochs 4 --seed 1 --out "$demo/train" --resume
weights=$demo/train/best/weights.safetensors
say "$kronbit" search --net resnet20 --weights "$weights" --data synthetic --tasks 0,0.25,0.5 --curve bezier:1 \
  --by accuracy --max-size 110KB --budget 12evals --seed 1 --workers 2 --final-top 1 --out "$demo/search" --resume
say "$kronbit" rank "$demo/search" --by accuracy --top 5
say "$kronbit" size --net resnet20 --bits "@$demo/search/best/bits.json"
say "$kronbit" verify "$demo/search/best/model.safetensors" --data synthetic
say "$kronbit" eval --net resnet20 --weights "$demo/search/best/model.safetensors" --data synthetic

printf '\nThe answer, to look at:  %s\nThe packed network:      %s\n' "$demo/search/report.html" "$demo/search/best/model.safetensors"
