package host

// Barrier stands before what is written to one file system from now on, by whomever. When Sync has returned, all of that
// is durable, contents, modes and names; what could not be written is its error.
type Barrier interface {
	Sync() error
	Close() error
}

// perFile is how much else a disk may have to write instead of a sync of one file.
const perFile = 128 << 10
