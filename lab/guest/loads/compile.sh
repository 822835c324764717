#!/bin/busybox sh
# Eight sources by turns; the objects lie on tmpfs and replace each other.
/bin/busybox mkdir -p /tmp/objects
/bin/busybox mount -t tmpfs objects /tmp/objects
exec /load/compile/repeat compile 5 0,1,2,3,4,5,6,7 /load/compile/tcc -c -o /tmp/objects/%.o /load/compile/unit%.c
