#!/bin/bash
# The first process of a lab host, in mount, process and host name namespaces of its own: host.sh FOLDER NAME.
# libvirt's folders are private to it, so nothing of the real system's libvirt is seen or changed. It waits for its
# standard input to close; when this process ends, however that comes about, the kernel ends all others of the host.
set -e
cd "$1"
for folder in run var/lib var/log var/cache etc/libvirt; do
  mount --bind "root/$folder" "/$folder"
done
for file in passwd group hosts; do
  mount --bind "root/etc/$file" "/etc/$file"
done
hostname "$2"
echo ready
read -r _
