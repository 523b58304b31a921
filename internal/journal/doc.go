// Package journal keeps an append-only record on disk: the only durable thing
// in the request path. It knows nothing of what it carries.
//
// # The model
//
// A journal is a directory of segments. A segment is a header and then frames,
// back to back. A frame carries a sequence number, a time, a kind, metadata
// and, if the caller likes, a body. One goroutine, the flusher, writes:
// callers copy their frames into a buffer, the flusher takes the whole buffer,
// writes it with one write and one fdatasync (a commit), and wakes those who
// wait. While it syncs, the next buffer fills: the slower the disk, the larger
// the commits.
//
// # What is promised
//
//   - When Append returns nil, the frame is on disk, and its segment's name too.
//   - Sequence numbers start at 1 and have no gaps; times never decrease, also
//     when the clock does.
//   - A frame that a crash left half written is cut away by Open and reported.
//     Damage with good frames behind it is never cut: it is reported, and the
//     frames around it stay readable.
//   - After an error of fdatasync, or any error of write except a full disk,
//     nothing is tried again, since the kernel may have dropped the pages:
//     every call returns ErrFailed until the process has opened the journal anew.
//   - On a full disk nothing is lost that was queued: the half-written commit
//     is cut away, the ballast file is given up, and the commit is tried again
//     each second until it succeeds. The same, the ballast apart, where the next
//     segment or the directory cannot be opened because the process or the
//     system has too many open files, or no memory for one more.
//
// # The chain
//
// Each frame holds chain_n = SHA-256(chain_{n-1} ‖ seq ‖ time ‖ kind ‖
// SHA-256(meta) ‖ bodySum), numbers big-endian, chain_0 all zeros; each
// segment's header holds the chain of the frame before it. Bodies are covered
// by bodySum = SHA-256(body) only, so that Erase can overwrite a body with
// zeros and leave the chain whole. Verify finds any changed, removed, inserted
// or reordered frame, except where someone removes the newest frames or
// rewrites everything from some frame on: pin Stats.Head somewhere else to
// find that too.
//
// # Retention
//
// Retain erases the bodies and deletes the segments that are old enough. What is
// left verifies from its oldest frame on. A frame that is durable first tells
// what is deleted, so that Verify can tell it from segments that somebody took.
// Segments end after a day at the latest, so nothing outlives its time by more.
//
// # The format
//
// It must not change without a new version in the header. Numbers are big-endian.
//
//	segment  NAME = first sequence number, 20 digits, ".seg"
//	header   0 magic "GHJOURNL" | 8 version u16 | 10 zero u16 | 12 crc32c u32 of the other 60 bytes
//	         16 first seq u64 | 24 sync marker u64 | 32 chain before the first frame [32]
//	frame    0 length u32, the top four bits 1010 | 4 crc32c u32 of 0..4, 8..108 and meta
//	         8 sync marker u64 | 16 seq u64 | 24 time i64, Unix nanoseconds | 32 kind u8 | 33 zero [3]
//	         36 index in its commit u32 | 40 length of meta u32 | 44 bodySum [32] | 76 chain [32]
//	         108 meta, then body
//
// The sync marker is random for each segment. Behind damage the reader looks
// for it; nobody who merely sends us bodies can plant a frame there. The index
// in the commit tells what a crash can have torn: only the last commit of the
// last segment was ever unsynced.
package journal
