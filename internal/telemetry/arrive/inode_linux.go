package arrive

import (
	"io/fs"
	"strconv"
	"syscall"
)

// inode returns what stays the same when a file is renamed, and when the file
// system last saw it change, which unlike the time of modification nobody can
// set: what is moved or copied here is new here.
func inode(path string, info fs.FileInfo) (id string, change int64) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return path, info.ModTime().UnixNano()
	}
	return strconv.FormatUint(uint64(s.Dev), 36) + ":" + strconv.FormatUint(s.Ino, 36), s.Ctim.Nano()
}
