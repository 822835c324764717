#!/bin/busybox sh
# The first program of the lab guest: mounts, modules, network, a load, and then the workload as process 1.
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
ip= load=
for word in $($bb cat /proc/cmdline); do
  case $word in
    gw.ip=*) ip=${word#gw.ip=} ;;
    gw.load=*) load=${word#gw.load=} ;;
  esac
done
if [ -n "$ip" ]; then
  { $bb ip link set lo up && $bb ip address add "$ip/24" dev eth0 && $bb ip link set eth0 up; } || echo "E network: $ip"
fi
if [ -n "$load" ] && [ ! -x "/load/$load/start" ]; then
  echo "E load: this initramfs has no $load"
elif [ -n "$load" ]; then
  { "/load/$load/start" < /dev/null 2>&1 | /load/lines > /dev/ttyS0; } &
fi
exec /workload
