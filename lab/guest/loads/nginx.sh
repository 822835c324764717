#!/bin/busybox sh
# Files of four sizes, 30 MiB in all, on tmpfs.
bb=/bin/busybox
$bb mkdir -p /tmp/www /tmp/nginx
$bb mount -t tmpfs www /tmp/www
/load/nginx/files /tmp/www 64x4096 32x65536 24x524288 8x2097152 || exit 1
exec /load/nginx/nginx -p /tmp/nginx -c /load/nginx/nginx.conf -e stderr
