#!/bin/busybox sh
# The first program of the lab guest: mounts, modules, and then the workload as process 1.
# When the workload ends the kernel panics, and with panic=-1 and -no-reboot QEMU ends: nothing fails in silence.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
while read -r module; do
  case $module in
    *.xz) $bb xzcat "$module" > /module.ko && $bb insmod /module.ko ;;
    *) $bb insmod "$module" ;;
  esac || echo "E insmod: $module"
done < /modules/order
exec /workload
