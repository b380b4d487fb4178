# Runs a command without a network, with every file system read-only.
# usage: unshare --map-root-user --mount --net sh read_only.sh COMMAND ...
set -eu
mount --make-rprivate /
awk '{print $2}' /proc/self/mounts | sort -u | while read -r place; do
  case $place in
    /proc* | /sys* | /dev*) ;;
    # What another process takes away meanwhile is no place to write to.
    *) mount -o remount,bind,ro "$place" || ! grep -qF " $place " /proc/self/mounts ;;
  esac
done
if touch "$PWD/probe" 2>/dev/null; then
  echo "the folder can still be written" >&2
  exit 99
fi
exec "$@"
