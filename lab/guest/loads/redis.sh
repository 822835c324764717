#!/bin/busybox sh
# Data in memory only; the sockets have no timers, for a guest may be paused for long.
exec /load/redis/redis-server --bind 0.0.0.0 --protected-mode no --port 6379 --timeout 0 --tcp-keepalive 0 \
  --save '' --appendonly no --maxmemory 80mb --maxmemory-policy noeviction --logfile '' --loglevel warning
