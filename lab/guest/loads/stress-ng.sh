#!/bin/busybox sh
# One run per method, by turns; each maps, fills and checks its memory anew. Methods and operations are such that a run
# takes about a second under TCG.
exec /load/stress-ng/repeat stress-ng 2 flip,inc-nybble,walk-0d,zero-one,rand-set,ror,fwdrev \
  /load/stress-ng/stress-ng --quiet --no-rand-seed --temp-path /tmp --vm 1 --vm-bytes 16m --vm-method % --vm-ops 500
