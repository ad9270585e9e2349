package host

// NetworkFileSystem names a file system that lies on another machine, by its magic number of statfs(2); "" for one that does
// not. On such a one flock(2) does not hold between machines, or not after a lost connection.
func NetworkFileSystem(magic int64) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517b, 0xfe534d42:
		return "SMB"
	case 0xff534d42:
		return "CIFS"
	case 0x5346414f:
		return "AFS"
	case 0x00c36400:
		return "Ceph"
	case 0x01021997:
		return "9P"
	}
	return ""
}
