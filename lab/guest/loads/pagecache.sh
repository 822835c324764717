#!/bin/busybox sh
# Reads the whole disk once, so that it lies in the page cache, and then does nothing but say so.
bb=/bin/busybox
n=0
while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do
  $bb usleep 100000
  n=$((n + 1))
done
exec 3< /dev/vda # the cache of a device goes with whoever closes it last
$bb dd if=/dev/vda of=/dev/null bs=1M 2> /dev/null || { echo "pagecache E the disk cannot be read"; exit 1; }
read -r sectors < /sys/block/vda/size
while :; do
  while read -r what kib unit; do
    [ "$what" = Buffers: ] && break
  done < /proc/meminfo
  # with too little memory the first of it is gone when the last is read
  [ "$kib" -ge $((sectors / 2)) ] || { echo "pagecache E only $kib KiB of $((sectors / 2)) stay in memory"; exit 1; }
  echo "pagecache full kib=$kib"
  $bb sleep 2
done
