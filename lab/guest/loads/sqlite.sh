#!/bin/busybox sh
/bin/busybox mkdir -p /tmp/db
/bin/busybox mount -t tmpfs db /tmp/db
exec /load/sqlite/tpcb /tmp/db/tpcb.db 50
