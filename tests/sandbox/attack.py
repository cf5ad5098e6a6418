"""Tries to change the computer from inside, and changes nothing: doors are opened, not entered."""

from __future__ import annotations

# A file is opened for appending, and nothing is written; what is made is taken away at once. /tmp
# is the pod's own, and shows that the script finds what it looks for.
SCRIPT = r"""
mkdir -p /tmp/proc /tmp/sys
mount -t proc proc /tmp/proc
mount -t sysfs sys /tmp/sys
mount -o remount,rw /sys
for cover in kernel vm fs ''; do while umount /proc/sys/$cover; do :; done; done
for place in /tmp /usr /usr/bin /bin /etc/ssl \
    /host/usr /host/etc/ssl /host/opt/eksnet/bin /host/opt/eksnet/busybox /opt/eksnet/bin; do
  [ -d $place ] || continue
  mount -o remount,bind,rw $place
  touch $place/.scratch && rm $place/.scratch && echo "$place: writable"
  case $place in /host/*) umount -l $place && echo "$place: came off";; esac
done
for proc in /proc /tmp/proc; do
  for file in sysrq-trigger sys/kernel/core_pattern sys/vm/overcommit_memory sys/fs/file-max; do
    [ -e $proc/$file ] && ( : >> $proc/$file ) && echo "$proc/$file: writable"
  done
done
for sys in /sys /tmp/sys; do
  for file in power/state kernel/mm/transparent_hugepage/enabled kernel/uevent_seqnum; do
    [ -e $sys/$file ] && ( : >> $sys/$file ) && echo "$sys/$file: writable"
  done
done
for kind in b c; do
  mknod /tmp/device $kind 1 1 && rm /tmp/device && echo "a device of kind $kind"
done
chmod 666 /dev/null && echo "/dev/null: changed"
unshare --cgroup true && echo "control groups of its own"
true
"""
# What it says where nothing of the computer's can be changed.
HELD = ["/tmp: writable"]


def found(output: str) -> list[str]:
    """Return the doors that stood open, by the script's output; refusals are left out."""
    ends = (": writable", ": came off", ": changed", " of its own")
    lines = output.splitlines()
    return [line for line in lines if line.endswith(ends) or line.startswith("a device of kind")]
