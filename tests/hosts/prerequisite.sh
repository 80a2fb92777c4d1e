# Whether this user may make hosts here; to be called in new namespaces (net, uts, ipc, mount).
mount -t tmpfs none /dev/shm
hostname gradflow-test
ip link set lo up
ip link add bridge type bridge
ip link add one type veth peer name other
ip link set one master bridge up
