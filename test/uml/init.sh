#!/bin/sh
# First process of the guest kernel: makes a small box of its own over the host's read-only files, runs the command
# that run.sh wrote, leaves its exit status, and switches the guest off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
work=$pagewire_work

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run # hides the host's namespaces and labs
mkdir -p /run/work /run/bin /run/modules/lib
mount -t hostfs none /run/work -o "$work"
mount -t tmpfs tmp /tmp
# A clone below /tmp would be hidden by what was just mounted.
case $pagewire_root in
  /tmp/*) mkdir -p "$pagewire_root" && mount -t hostfs none "$pagewire_root" -o "$pagewire_root" -r ;;
esac
mount -t tmpfs tmp /dev/shm 2>/dev/null
ip link set lo up

# The host may have no /lib/modules to mount the guest's modules on, and its files are read-only here.
ln -s /usr/lib/uml/modules /run/modules/lib/modules
printf '#!/bin/sh\nexec /usr/sbin/modprobe -d /run/modules "$@"\n' >/run/bin/modprobe
chmod +x /run/bin/modprobe
echo /run/bin/modprobe >/proc/sys/kernel/modprobe
ulimit -n 65536

export PAGEWIRE_OUT=/run/work/out HOME=/tmp
sh /run/work/command >>/run/work/output 2>&1
echo $? >/run/work/status.tmp
mv /run/work/status.tmp /run/work/status
exec poweroff -f
