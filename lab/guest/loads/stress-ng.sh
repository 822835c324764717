#!/bin/busybox sh
# One run per method, by turns; each maps, fills and checks its memory anew.
exec /load/stress-ng/repeat stress-ng 4 flip,inc-nybble,walk-0d,write64,swap,zero-one,galpat-0,rand-set \
  /load/stress-ng/stress-ng --quiet --no-rand-seed --temp-path /tmp --vm 1 --vm-bytes 16m --vm-method % --vm-ops 20000
