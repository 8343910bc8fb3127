// Package target looks at what is around the process, to answer what a sandbox isolates: a container, bwrap(1),
// unshare(1), or nothing at all.
//
// It only looks: it writes nothing, makes nothing, and opens files only to learn whether it may. Nearly all that it needs
// is /proc. What cannot be told from inside is unknown. A namespace is the machine's if its inode has one of the numbers
// that the kernel keeps for those it begins with.
package target
