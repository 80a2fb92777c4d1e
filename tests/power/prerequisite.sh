# Whether this user may mount, freeze and unmount a file system in a file here; to be called in a new mount namespace.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
truncate --size=32M "$folder/image"
mkfs.ext4 -q "$folder/image"
mkdir "$folder/mounted"
mount -o loop "$folder/image" "$folder/mounted"
fsfreeze --freeze "$folder/mounted"
fsfreeze --unfreeze "$folder/mounted"
umount "$folder/mounted"
